"""Preview host: runs the unchanged Slicer module without Slicer, by stand-ins that are as strict as Slicer is."""

"""The made-up scan in Slicer's Sample Data module."""

from __future__ import annotations

import sys
import types

import pytest


class SampleDataLogic:
    """Registers as Slicer's own does, which counts the addresses, names and nodes it is given."""

    registered: list[dict] = []

    @classmethod
    def registerCustomSampleDataSource(
        cls,
        category="Custom",
        sampleName=None,
        uris=None,
        fileNames=None,
        nodeNames=None,
        customDownloader=None,
        thumbnailFileName=None,
    ):
        nodeNames = [] if nodeNames is None else nodeNames
        if len(uris) != len(fileNames) or len(uris) != len(nodeNames):
            raise ValueError("lists differ in length")
        cls.registered.append({"sampleName": sampleName, "load": customDownloader, "thumbnail": thumbnailFileName})


@pytest.fixture
def sample_data(widget, monkeypatch):
    import slicer

    module = types.ModuleType("SampleData")
    module.SampleDataLogic = SampleDataLogic
    monkeypatch.setitem(sys.modules, "SampleData", module)
    monkeypatch.setattr(slicer.modules, "sampledata", object(), raising=False)
    monkeypatch.setattr(SampleDataLogic, "registered", [])
    return SampleDataLogic.registered


def test_the_sample_is_registered_and_computed_when_it_is_chosen(sample_data):
    import slicer

    from DGSTSegmentLib.panel import sampledata

    sampledata.register()
    (sample,) = sample_data
    assert sample["sampleName"] == sampledata.NAME
    with open(sample["thumbnail"], "rb") as file:
        assert file.read(4) == b"\x89PNG"
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode") == 0
    node = sample["load"](None)
    assert node.GetImageData() is not None


def test_a_slicer_without_sample_data_is_offered_nothing_and_says_nothing(sample_data, monkeypatch, capfd):
    """Its code may lie there, as where the module was switched off."""
    import slicer

    from DGSTSegmentLib.panel import sampledata

    monkeypatch.delattr(slicer.modules, "sampledata")
    sampledata.register()
    assert sample_data == []
    assert capfd.readouterr() == ("", "")

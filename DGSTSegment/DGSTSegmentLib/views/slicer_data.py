"""Volumes as VTK wants them, and their surfaces where MRML has them."""

from __future__ import annotations

import numpy as np
from vtkmodules.util.numpy_support import numpy_to_vtk
from vtkmodules.vtkCommonDataModel import vtkImageData, vtkPolyData
from vtkmodules.vtkCommonMath import vtkMatrix4x4
from vtkmodules.vtkCommonTransforms import vtkTransform
from vtkmodules.vtkFiltersCore import vtkFlyingEdges3D, vtkPolyDataNormals, vtkWindowedSincPolyDataFilter
from vtkmodules.vtkFiltersGeneral import vtkTransformPolyDataFilter

from ..imaging.geometry import LPS_TO_RAS
from ..imaging.volume import Volume


def image_data(array: np.ndarray) -> vtkImageData:
    """An image with the voxels of ``array`` [k, j, i], without geometry."""
    image = vtkImageData()
    image.SetDimensions(*array.shape[::-1])
    image.GetPointData().SetScalars(numpy_to_vtk(np.ascontiguousarray(array).ravel(), deep=True))
    return image


def vtk_matrix(matrix: np.ndarray) -> vtkMatrix4x4:
    result = vtkMatrix4x4()
    result.DeepCopy(np.asarray(matrix, dtype=np.float64).ravel().tolist())
    return result


def surface(soft_mask: Volume) -> vtkPolyData:
    """Smoothed polygons (RAS) of the surface at 0.5."""
    edges = vtkFlyingEdges3D()
    edges.SetInputData(image_data(soft_mask.array))
    edges.SetValue(0, 0.5)
    edges.ComputeScalarsOff()
    smooth = vtkWindowedSincPolyDataFilter()
    smooth.SetInputConnection(edges.GetOutputPort())
    to_ras = vtkTransform()
    to_ras.SetMatrix(vtk_matrix(LPS_TO_RAS @ soft_mask.geometry.ijk_to_world))
    placed = vtkTransformPolyDataFilter()
    placed.SetTransform(to_ras)
    placed.SetInputConnection(smooth.GetOutputPort())
    normals = vtkPolyDataNormals()
    normals.SetInputConnection(placed.GetOutputPort())
    normals.SplittingOff()
    normals.Update()
    return normals.GetOutput()

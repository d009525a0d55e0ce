"""Where pixels lie in the patient, and how the panels fill the picture."""

from __future__ import annotations

import numpy as np
import pytest

from DGSTSegmentLib.views.compose import Sheet, place
from DGSTSegmentLib.views.panels import Field, field_around, lay_out

from .conftest import patient_on

FOCUS = np.array([10.0, -20.0, 30.0])


@pytest.fixture
def layout():
    return lay_out(Field(np.array([-100.0, -80.0, -60.0]), np.array([100.0, 80.0, 90.0])), FOCUS, 1000, 8, 40, 30)


def panel(layout, name):
    return next(p for p in layout.panels if p.name == name)


def test_slice_panels_share_one_scale_and_line_up(layout):
    axial, coronal, sagittal = (panel(layout, name) for name in ("axial", "coronal", "sagittal"))
    assert axial.mm_per_pixel == coronal.mm_per_pixel == sagittal.mm_per_pixel
    assert axial.size[0] == coronal.size[0] and coronal.size[1] == sagittal.size[1]
    point = np.array([33.0, -44.0, 55.0])
    assert axial.to_pixel(point)[0] == pytest.approx(coronal.to_pixel(point)[0])
    assert coronal.to_pixel(point)[1] == pytest.approx(sagittal.to_pixel(point)[1])


def test_panels_fill_the_picture_without_overlap(layout):
    covered = np.zeros(layout.size[::-1], dtype=int)
    for each in layout.panels:
        x, y = layout.corners[each.name]
        covered[y : y + each.size[1], x : x + each.size[0]] += 1
    assert covered.max() == 1
    assert (covered[40:-30] == 1).mean() > 0.95


def test_marks_follow_radiological_convention(layout):
    assert panel(layout, "axial").marks == {"left": "R", "right": "L", "top": "A", "bottom": "P"}
    assert panel(layout, "coronal").marks == {"left": "R", "right": "L", "top": "S", "bottom": "I"}
    assert panel(layout, "sagittal").marks == {"left": "A", "right": "P", "top": "S", "bottom": "I"}
    assert panel(layout, "3D").marks == {}


def test_the_3d_viewer_stands_before_the_patient_a_little_to_the_left_and_above(layout):
    towards_viewer = -panel(layout, "3D").away
    assert towards_viewer[0] > 0.2 and towards_viewer[1] < -0.7 and towards_viewer[2] > 0.1
    axes = np.stack([panel(layout, "3D").right, panel(layout, "3D").down, panel(layout, "3D").away])
    assert np.allclose(axes @ axes.T, np.eye(3)) and np.linalg.det(axes) == pytest.approx(1)


@pytest.mark.parametrize("name", ["axial", "coronal", "sagittal", "3D"])
def test_a_pixel_and_its_point_in_the_patient_find_each_other(layout, name):
    it = panel(layout, name)
    world = it.slab().to_world(np.array([0, 7, 5]))
    assert np.allclose(it.to_pixel(world), [5, 7])


def test_a_coarser_panel_shows_the_same_place(layout):
    it = panel(layout, "axial")
    coarse = it.coarser(4)
    corner = it.slab().to_world(np.array([0, 1.5, 1.5]))
    assert np.allclose(coarse.to_pixel(corner), [0, 0])


def test_slices_are_named_by_the_patients_side(layout):
    assert place(panel(layout, "axial"), FOCUS) == "S 30.0 mm"
    assert place(panel(layout, "coronal"), FOCUS) == "A 20.0 mm"
    assert place(panel(layout, "sagittal"), FOCUS) == "L 10.0 mm"


def test_the_field_holds_the_body_and_never_loses_the_point_of_interest():
    ct, _ = patient_on(np.eye(3))
    field = field_around(ct, np.zeros(3))
    assert np.all(field.low < -58) and np.all(field.high > 58) and np.all(field.size < 150)
    for focus in (np.array([50.0, 0, 0]), np.array([400.0, 0, 0])):
        narrow = field_around(ct, focus, (40, 40, 40))
        assert np.allclose(narrow.size, 40)
        assert np.all(narrow.low <= focus) and np.all(focus <= narrow.high)


@pytest.mark.parametrize("z", [140.0, 20.0, -140.0])
def test_the_point_of_interest_is_in_every_slice_of_a_tall_and_narrow_body(z):
    """Of its height only a part is shown."""
    focus = np.array([30.0, 40.0, z])
    corner = np.array([90.0, 70.0, 150.0])
    shown = lay_out(Field(-corner, corner), focus, 1000, 8, 40, 30)
    for name in ("axial", "coronal", "sagittal"):
        pixel, (width, height) = panel(shown, name).to_pixel(focus), panel(shown, name).size
        assert 0 <= pixel[0] < width and 0 <= pixel[1] < height, name
    coronal = panel(shown, "coronal")
    top, bottom = (coronal.slab().to_world(np.array([0, y, 0]))[2] for y in (0, coronal.size[1] - 1))
    assert -151 < bottom < top < 151, "nothing is shown beyond the field instead"


def test_letters_stay_legible_in_a_small_picture():
    assert Sheet(400).font(18).size >= 9

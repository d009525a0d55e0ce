"""The finished PNG, and what happens where Slicer's views cannot draw it."""

from __future__ import annotations

import signal
import sys
import tempfile
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from DGSTSegmentLib.errors import InputError
from DGSTSegmentLib.imaging import Geometry, Volume
from DGSTSegmentLib.views import pictures
from DGSTSegmentLib.views.exchange import read_orders, read_painted, write_orders, write_painted
from DGSTSegmentLib.views.pictures import Overlay, draw_case, draw_cases

from .conftest import NODE_CENTER, colored, patient_on, picture_of, slices_of


@pytest.fixture(scope="module")
def patient():
    return patient_on(np.eye(3), spacing=(2.5, 2.5, 3.0))


@pytest.fixture
def without_slicer(monkeypatch):
    monkeypatch.setattr(pictures, "ask_slicer", lambda *_: "this test does without")


def test_slicer_draws_several_pictures_and_leaves_nothing_behind(patient, slicer_can_draw, tmp_path, monkeypatch):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    ct, node = patient
    paths = [tmp_path / "before.png", tmp_path / "after.png"]
    drawn = draw_cases([picture_of(ct, None, paths[0]), picture_of(ct, node, paths[1])])
    assert [(d.painter, d.note) for d in drawn] == [("slicer", None)] * 2
    before, after = (np.asarray(Image.open(path)) for path in paths)
    assert colored(after).sum() > 4 * colored(before).sum() + 500
    assert list(scratch.iterdir()) == []
    assert sorted(p.name for p in tmp_path.iterdir()) == ["after.png", "before.png", "scratch"]


def test_the_3d_panel_of_both_painters_shows_the_marked_node(patient, slicer_can_draw, tmp_path):
    drawing = pictures.Drawing.of(picture_of(*patient))
    (panel,) = [p for p in drawing.order.panels if p.name == "3D"]
    drawing = replace(drawing, order=replace(drawing.order, panels=(panel,)))
    assert pictures.ask_slicer(tmp_path, [drawing.order], 120) is None
    for painted in (read_painted(tmp_path, 0, drawing.order), pictures.paint_plainly(drawing)):
        ys, xs = np.nonzero(colored(painted["3D"]))
        assert np.linalg.norm(np.array([xs.mean(), ys.mean()]) - panel.to_pixel(NODE_CENTER)) < 3


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux draws by EGL, which can be switched off")
def test_without_opengl_it_is_drawn_plainly_and_says_so(patient, tmp_path, monkeypatch):
    monkeypatch.setenv("__EGL_VENDOR_LIBRARY_FILENAMES", str(tmp_path / "no-such-driver.json"))
    monkeypatch.setenv("DISPLAY", "")
    path = tmp_path / "picture.png"
    drawn = draw_case(path, patient[0], [Overlay(patient[1], "Reference")], width=480)
    assert drawn.painter == "plain"
    assert "picture.png" in drawn.note and "drawn plainly" in drawn.note
    assert Image.open(path).size[0] == 480


def test_without_slicer_core_it_is_drawn_plainly_and_says_so(patient, tmp_path, monkeypatch):
    monkeypatch.setattr(pictures.importlib.util, "find_spec", lambda name: None)
    drawn = draw_case(tmp_path / "picture.png", patient[0], width=480)
    assert drawn.painter == "plain" and "slicer-core is not installed" in drawn.note


def test_a_child_that_takes_too_long_is_ended_and_it_is_drawn_plainly(patient, slicer_can_draw, tmp_path):
    drawn = draw_case(tmp_path / "picture.png", patient[0], width=480, timeout_s=0.05)
    assert drawn.painter == "plain" and "did not finish in 0.05 s" in drawn.note


def test_the_reason_of_a_childs_death_is_told():
    assert pictures.reason_of_death(-signal.SIGSEGV, b"") == "their process was ended by SIGSEGV"
    said = b"Traceback\nImportError: libGL.so.1 is missing\n2026 (1s) vtkOpenGL.cxx:9 WARN| something\n"
    assert pictures.reason_of_death(1, said) == "ImportError: libGL.so.1 is missing"
    assert pictures.reason_of_death(3, b"") == "their process ended with code 3"


def test_what_was_painted_before_the_child_died_is_kept(patient, tmp_path):
    order = slices_of(picture_of(*patient)).order
    write_orders(tmp_path, [order, order])
    for panel in order.panels:
        write_painted(tmp_path, 0, panel.name, np.zeros((*panel.size[::-1], 3), np.uint8))
    write_painted(tmp_path, 1, "axial", np.zeros((4, 4, 3), np.uint8))
    assert set(read_painted(tmp_path, 0, order)) == {"axial", "coronal", "sagittal"}
    assert read_painted(tmp_path, 1, order) is None


def test_a_job_reads_as_it_was_written_and_shared_volumes_are_stored_once(patient, tmp_path):
    order = slices_of(picture_of(*patient)).order
    write_orders(tmp_path, [order, order])
    assert len(list(tmp_path.glob("*.npy"))) == 4  # CT, segmentation, skin, bone
    again = read_orders(tmp_path)[1]
    assert np.array_equal(again.overlays[0].volume.array, patient[1].array)
    assert again.ct.geometry.same_grid(patient[0].geometry)
    assert np.array_equal(again.panels[2].slab().corners(), order.panels[2].slab().corners())


def test_slices_go_through_the_largest_marked_object(patient, without_slicer, tmp_path):
    ct, node = patient
    small = node.array.copy()
    small[2:4, 2:4, 2:4] = 7
    drawn = draw_case(tmp_path / "picture.png", ct, [Overlay(node.with_array(small), "Reference")], width=480)
    assert np.linalg.norm(np.array(drawn.center) - NODE_CENTER) < 3


def test_an_empty_prediction_is_drawn_and_named_empty(patient, without_slicer, tmp_path):
    ct, node = patient
    empty = Overlay(node.with_array(np.zeros_like(node.array)), "Prediction", "blue", "fill")
    assert empty.legend == "Prediction (empty)"
    assert draw_case(tmp_path / "picture.png", ct, [empty], width=480).painter == "plain"


def test_a_scan_of_air_and_one_of_a_single_slice_are_drawn(patient, without_slicer, tmp_path):
    ct, _ = patient
    air = ct.with_array(np.full_like(ct.array, -1000))
    draw_case(tmp_path / "air.png", air, width=480)
    single = type(ct)(ct.array[:1], type(ct.geometry)((1, *ct.array.shape[1:]), ct.geometry.ijk_to_world))
    draw_case(tmp_path / "single.png", single, width=480)
    assert {p.name for p in tmp_path.iterdir()} == {"air.png", "single.png"}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"width": 10}, "at least 400 pixels wide, not 10"),
        ({"window": (0, 40)}, "greater than 0 HU"),
        ({"field_mm": (100, 0, 100)}, "greater than 0 mm"),
    ],
)
def test_an_argument_that_makes_no_picture_gets_one_sentence(patient, tmp_path, options, said):
    with pytest.raises(InputError, match=said):
        draw_case(tmp_path / "picture.png", patient[0], **options)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_does_not_exist_is_named_before_anything_is_drawn(patient, tmp_path):
    with pytest.raises(InputError, match="nowhere.picture.png does not exist"):
        draw_case(tmp_path / "nowhere" / "picture.png", patient[0])


@pytest.mark.parametrize(
    ("dtype", "values"),
    [
        (bool, (0, 1)),
        (np.uint8, (0, 3, 7)),
        (np.int16, (1, 2)),
        (np.uint32, (5,)),
        (np.int16, (0, -4, 9)),
        (np.int32, (0, 40_000, 90_000)),
        (np.float32, (0, 2, 6)),
    ],
)
def test_objects_are_numbered_in_the_order_of_their_values(patient, dtype, values):
    like = patient[1]
    array = np.random.default_rng(0).choice(np.array(values, dtype=dtype), like.array.shape)
    expected = np.zeros(array.shape, np.int16)
    for number, value in enumerate(sorted(value for value in values if value > 0), start=1):
        expected[array == value] = number
    numbered = Overlay(like.with_array(array), "Reference").numbered
    assert numbered.array.dtype == np.int16 and np.array_equal(numbered.array, expected)
    assert numbered.geometry is like.geometry


def test_numbering_the_objects_of_a_scan_needs_little_more_memory_than_its_answer():
    array = np.zeros((200, 256, 256), np.uint8)
    array[90:100, 90:100, 90:100], array[10:20, 10:20, 10:20] = 3, 200
    overlay = Overlay(Volume(array, Geometry(array.shape, np.eye(4))), "Reference")
    tracemalloc.start()
    numbered = overlay.numbered
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert numbered.array.max() == 2 and most < 1.2 * numbered.array.nbytes


@pytest.mark.parametrize(("color", "style"), [("pink", "outline"), ("blue", "dotted")])
def test_an_unknown_color_or_style_is_refused(patient, color, style):
    with pytest.raises(InputError, match="Reference must be one of"):
        Overlay(patient[1], "Reference", color, style)

"""Data sets in folders: whichever way they are written down, read as meant or refused in one sentence."""

from __future__ import annotations

import json

import numpy as np
import pytest
from quality import command
from quality.circumstances import shared_data
from quality.data import STS_FOLDER, Choices, Sizes, open_pool
from quality.guard import choice_key
from quality.nnunet_json import Wanted, is_ct
from quality.nnunet_raw import scans_in
from quality.rows import Rows
from quality.settings import READ
from quality.splits import Most, split

from DGSTSegmentLib.errors import InputError
from DGSTSegmentLib.imaging import Geometry, Volume
from DGSTSegmentLib.imaging.files import write_volume

SHAPE = (4, 5, 6)
LABELS = {"background": 0, "node": 1, "tumour": 2}


def written(folder, parts=("Tr",), cases=5, channels=1, empty=(), **description):
    """A raw data set in ``folder``: node (1) at 1, 1, 1, tumour (2) at 2, 2, 2; channel c of case n is n + 10 c."""
    geometry = Geometry.from_parts(SHAPE, (1.0, 1.0, 2.0))
    for part in parts:
        for place in ("images", "labels"):
            (folder / f"{place}{part}").mkdir(parents=True)
        for n in range(cases):
            labels = np.zeros(SHAPE, np.uint8)
            labels[2, 2, 2] = 2
            labels[1, 1, 1] = 0 if (part, n) in empty else 1
            write_volume(Volume(labels, geometry), folder / f"labels{part}" / f"case{n}.nii.gz")
            for channel in range(channels):
                image = Volume(np.full(SHAPE, n + 10 * channel, np.int16), geometry)
                write_volume(image, folder / f"images{part}" / f"case{n}_{channel:04d}.nii.gz")
    describe(folder, **description)
    return folder


def describe(folder, **description):
    content = {"channel_names": {"0": "CT"}, "labels": LABELS, "file_ending": ".nii.gz", **description}
    (folder / "dataset.json").write_text(json.dumps(content), encoding="utf-8")


@pytest.fixture
def raw_folder(tmp_path):
    """Of five cases with two labels."""
    return written(tmp_path / "Dataset999_Nodes")


def nodes_of(folder, label=None):
    """Where the first case's nodes are."""
    return np.argwhere(scans_in(folder, Wanted(label)).training[0].read()[1].array).tolist()


NODE = Wanted("node")


def pool_of(data, out, source_folder=None, target=NODE, **choices):
    folder = None if source_folder is None else str(source_folder)
    return open_pool(str(data), Rows(out), Sizes(), folder, Choices(target=target, **choices))


@pytest.mark.parametrize("label", ["node", "1"])
def test_a_raw_data_set_is_read_by_the_label_named_or_its_value(raw_folder, label):
    ct, nodes = scans_in(raw_folder, Wanted(label)).training[3].read()

    assert ct.array.max() == 3
    assert np.argwhere(nodes.array).tolist() == [[1, 1, 1]]


@pytest.mark.parametrize(
    "labels",
    [
        {"0": "background", "1": "lymph node"},
        {"background": "0", "lymph node": "1"},
        {"background": 0, "lymph node": [1]},
        {"0": "Background", "1": "lymph node", "3": "lymph node"},
    ],
)
def test_labels_may_be_written_either_way_round_and_as_texts(raw_folder, labels):
    describe(raw_folder, labels=labels)

    assert nodes_of(raw_folder) == nodes_of(raw_folder, "lymph node") == [[1, 1, 1]]


def test_a_region_is_all_its_values(raw_folder):
    describe(raw_folder, labels={"background": 0, "any": [1, 2], "node": [1]}, regions_class_order=[2, 1])

    assert nodes_of(raw_folder, "any") == [[1, 1, 1], [2, 2, 2]]
    with pytest.raises(InputError, match="labels any, node; choose one"):
        scans_in(raw_folder)


@pytest.mark.parametrize(
    ("label", "description", "message"),
    [
        (None, {}, "node, tumour; choose one with --label"),
        ("vein", {}, r"no label 'vein'; it has node \(1\), tumour \(2\): give a name or its value"),
        ("7", {}, "no label '7'"),
        ("background", {}, "no label 'background'"),
        (None, {"labels": ["background", "node"]}, "gives its labels otherwise than as"),
        (None, {"labels": {"background": 0}}, "names no label beside the background"),
        (None, {"labels": {"background": 0, "node": "one"}}, "label 'node' the value 'one'"),
        (None, {"labels": {"background": 0, "node": None}}, "label 'node' the value None"),
        (None, {"labels": {"background": 0, "node": [0, 1]}}, r"counts the background \(0\) to label 'node'"),
        (None, {"labels": {"background": 0, "node": 1, "ignore": 2}}, "leaves voxels open"),
        ("node", {"channel_names": 3}, "channel_names otherwise than"),
        ("node", {"channel_names": {}}, "channel_names otherwise than"),
        ("node", {"channel_names": {"first": "CT"}}, "channel_names otherwise than"),
        ("node", {"file_ending": 3}, "3 as file_ending"),
        ("node", {"dataset": ["case0"]}, "gives dataset otherwise"),
        ("node", {"dataset": {"case0": "labelsTr/case0.nii.gz"}}, "lists case0 under dataset without"),
        ("node", {"dataset": {"case0": {"images": [], "label": "labelsTr/case0.nii.gz"}}}, "no image of case0"),
        ("node", {"dataset": {"case0": {"images": ["gone.nii.gz"], "label": "labelsTr/case0.nii.gz"}}}, "no image"),
    ],
)
def test_what_a_data_set_leaves_open_or_says_wrong_is_told_in_a_sentence(raw_folder, label, description, message):
    describe(raw_folder, **description)

    with pytest.raises(InputError, match=message):
        scans_in(raw_folder, Wanted(label))


@pytest.mark.parametrize("text", ["[]", "nonsense", '"CT"'])
def test_a_description_that_is_none_is_told(raw_folder, text):
    (raw_folder / "dataset.json").write_text(text, encoding="utf-8")

    with pytest.raises(InputError, match=r"dataset.json (cannot be read|holds no JSON object)"):
        scans_in(raw_folder)


def test_a_case_without_its_image_and_a_folder_of_neither_kind_are_told(raw_folder):
    (raw_folder / "imagesTr" / "case2_0000.nii.gz").unlink()
    with pytest.raises(InputError, match="case2.nii.gz has no image"):
        scans_in(raw_folder, Wanted("node"))
    with pytest.raises(InputError, match="holds no annotated scan"):
        scans_in(raw_folder / "labelsTr")


@pytest.mark.parametrize(
    ("names", "wanted", "first"),
    [
        ({"0": "PET", "1": "CT"}, None, 10),
        (["T1", "CT"], None, 10),
        ({"0": "CT", "1": "ceCT"}, "ceCT", 10),
        ({"0": "CT", "1": "CT"}, "1", 10),
        ({"0": "CT", "1": "ceCT"}, "0", 0),
        ({"0": "one", "1": "two"}, "two", 10),
    ],
)
def test_the_ct_is_the_channel_asked_for_or_the_only_one_called_so(tmp_path, names, wanted, first):
    folder = written(tmp_path / "Dataset1_Two", channels=2, channel_names=names)

    ct, _ = scans_in(folder, Wanted("node", wanted)).training[0].read()
    assert ct.array.max() == first


@pytest.mark.parametrize(
    ("names", "wanted", "message"),
    [
        ({"0": "CT", "1": "ceCT"}, None, r"has the channels 0 \(CT\), 1 \(ceCT\); choose the CT with --channel"),
        ({"0": "CT", "1": "CT"}, "CT", "choose the CT with --channel, by its number"),
        ({"0": "one", "1": "two"}, None, "choose the CT with --channel"),
        ({"0": "CT", "1": "MR"}, "MR", "has MR in channel 1; only CT is read"),
        ({"0": "CT", "1": "MR"}, "2", r"no channel '2'; it has 0 \(CT\), 1 \(MR\)"),
        ({"0": "MRI"}, None, "has MRI in channel 0; only CT is read"),
        (["PET/CT"], None, "only CT is read"),
    ],
)
def test_a_channel_that_is_no_ct_or_one_of_several_is_told(raw_folder, names, wanted, message):
    describe(raw_folder, channel_names=names)

    with pytest.raises(InputError, match=message):
        scans_in(raw_folder, Wanted("node", wanted))


def test_channels_names_tell_cts_from_others():
    assert all(is_ct(name) for name in ("CT", "ct", "ceCT", "CECT", "CT (plain)", "contrast-CT", "CT_ven", "CTA"))
    assert not any(is_ct(name) for name in ("MR", "PET-CT", "T1", "PET", "noNorm", "subtract", ""))


def test_version_1_calls_channels_modality(raw_folder):
    content = {"modality": {"0": "CT"}, "labels": {"0": "background", "1": "node"}, "numTraining": 5}
    (raw_folder / "dataset.json").write_text(json.dumps(content), encoding="utf-8")

    assert nodes_of(raw_folder) == [[1, 1, 1]]


def test_paths_that_a_data_set_lists_are_followed(raw_folder):
    (raw_folder / "imagesTr").rename(raw_folder.parent / "elsewhere")
    listed = {
        f"patient{n}": {
            "images": [f"../elsewhere/case{n}_0000.nii.gz"],
            "label": str(raw_folder / "labelsTr" / f"case{n}.nii.gz"),
        }
        for n in range(4)
    }
    describe(raw_folder, dataset=listed)

    scans = scans_in(raw_folder, Wanted("node")).training
    assert [scan.name for scan in scans] == [f"Dataset999_Nodes/Tr/patient{n}" for n in range(4)]
    assert scans[2].read()[0].array.max() == 2


def test_a_data_sets_own_test_scans_are_what_is_tested_on(tmp_path):
    pool = pool_of(written(tmp_path / "Dataset1_A", parts=("Tr", "Ts")), tmp_path / "out")

    assert {part: len(names) for part, names in pool.split.items() if names} == {
        "training": 4, "validation": 1, "test": 5
    }  # fmt: skip
    assert {name.split("/")[1] for name in pool.split["test"]} == {"Ts"}


def test_partly_annotated_scans_are_learned_from_and_never_measured_on(tmp_path):
    folder = written(tmp_path / "Dataset1_A", parts=("Tr", "Ts"))

    pool = pool_of(folder, tmp_path / "out", annotated="marked")

    kinds = {part: {name.split("/")[1] for name in names} for part, names in pool.split.items() if names}
    assert kinds == {"training": {"Tr"}, "validation": {"Ts"}, "test": {"Ts"}}
    assert {part: len(names) for part, names in pool.split.items() if names} == {
        "training": 5, "validation": 2, "test": 3
    }  # fmt: skip
    assert "only some nodes are annotated" in pool.description


def test_partly_annotated_scans_alone_cannot_be_measured_on(raw_folder, tmp_path, capsys):
    given = ["--full", "--data", str(raw_folder), "--label", "node", "--out", str(tmp_path / "out"), "--source", "none"]

    assert command.main([*given, "--annotated", "marked", "--report-only"]) == 2
    assert "0 annotated scans in imagesTs and labelsTs" in capsys.readouterr().err


def test_partly_annotated_scans_are_cases_of_completeness_marked_only(tmp_path, capsys):
    folder = written(tmp_path / "Dataset1_A", parts=("Tr", "Ts"))
    given = ["--full", "--data", str(folder), "--label", "node", "--out", str(tmp_path / "out"), "--source", "none"]
    given += ["--annotated", "marked", "--jobs", "1"]

    assert command.settings_of(command._parser().parse_args(given)).protocol.completeness == ("marked",)
    assert command.main([*given, "--completeness", "all", "--report-only"]) == 2
    assert "--completeness all needs training scans with every node annotated" in capsys.readouterr().err
    assert command.main([*given, "--report-only"]) == 0


def test_cases_of_the_same_name_in_two_data_sets_are_two(tmp_path):
    ours, theirs = (written(tmp_path / f"Dataset{name}") for name in ("1_A", "2_B"))

    pool = pool_of(ours, tmp_path / "out", source_folder=theirs)

    assert len(pool.source_validation) == 1
    assert pool.training[0].name.startswith("Dataset1_A/")
    with pytest.raises(InputError, match="keep the parts apart"):
        pool_of(ours, tmp_path / "out", source_folder=ours)


def test_label_and_channel_hold_for_the_source_unless_it_is_given_its_own(tmp_path):
    ours = written(tmp_path / "Dataset1_A", channels=2, channel_names=["CT", "ceCT"])
    theirs = written(tmp_path / "Dataset2_B", channels=2, channel_names=["CT", "ceCT"])

    pool = pool_of(ours, tmp_path / "out", theirs, Wanted("tumour", "1"))
    ct, nodes = pool.source_validation[0].read()
    assert ct.array.max() >= 10
    assert np.argwhere(nodes.array).tolist() == [[2, 2, 2]]

    source = Wanted("node", "CT", "--source-")
    ct, nodes = (
        pool_of(ours, tmp_path / "out", theirs, Wanted("tumour", "1"), source=source).source_validation[0].read()
    )
    assert ct.array.max() < 10
    assert np.argwhere(nodes.array).tolist() == [[1, 1, 1]]


def test_a_source_whose_labels_are_called_otherwise_names_its_own_option(tmp_path):
    ours = written(tmp_path / "Dataset1_A")
    theirs = written(tmp_path / "Dataset2_B", labels={"background": 0, "LN": 1})

    with pytest.raises(InputError, match=r"it has LN \(1\): give a name or its value with --source-label"):
        pool_of(ours, tmp_path / "out", source_folder=theirs)


def test_scans_without_nodes_are_not_learned_from(tmp_path):
    empty = [("Tr", n) for n in range(0, 12, 2)]
    folder = written(tmp_path / "Dataset1_A", cases=12, empty=empty)

    pool = pool_of(folder, tmp_path / "out")

    assert pool.training
    assert all(scan.has_nodes() for scan in pool.training)
    assert [scan.name for scan in pool.training] == pool.split["training"]
    with pytest.raises(InputError, match="None of 6 training scans"):
        pool_of(written(tmp_path / "B", cases=12, empty=[("Tr", n) for n in range(12)]), tmp_path / "other")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "sts", "--label", "x"], "--label x has no effect on the pairs of CT and tumour"),
        (["--data", "sts", "--channel", "CT"], "--channel CT has no effect"),
        (["--data", "sts", "--annotated", "marked"], "0 annotated scans in imagesTs"),
        (["--label", "x"], "--label x has no effect on phantoms"),
        (["--source-label", "x"], "--source-label x has no effect on --source phantoms"),
        (["--annotated", "marked"], "--annotated marked has no effect on phantoms"),
    ],
)
def test_a_choice_without_effect_is_refused(tmp_path, monkeypatch, capsys, arguments, message):
    pairs(tmp_path / "data" / STS_FOLDER, 4)
    monkeypatch.setenv("DGST_DATA", str(tmp_path / "data"))

    assert command.main(["--quick", "--report-only", "--jobs", "1", "--out", str(tmp_path / "out"), *arguments]) == 2
    assert message in capsys.readouterr().err


def pairs(folder, count):
    folder.mkdir(parents=True)
    geometry = Geometry.from_parts(SHAPE, (1.0, 1.0, 2.0))
    for n in range(count):
        write_volume(Volume(np.zeros(SHAPE, np.int16), geometry), folder / f"STS_{n:03d}_ct.nii.gz")
        write_volume(Volume(np.ones(SHAPE, np.uint8), geometry), folder / f"STS_{n:03d}_gtv.nii.gz")


def test_real_scans_are_looked_for_where_dgst_data_says(tmp_path, monkeypatch):
    monkeypatch.setenv("DGST_DATA", str(tmp_path / "data"))
    with pytest.raises(InputError, match="There is no folder .*set DGST_DATA"):
        pool_of("sts", tmp_path / "out", target=Wanted())

    pairs(tmp_path / "data" / STS_FOLDER, 7)
    found = pool_of("sts", tmp_path / "out", target=Wanted()).split
    assert {part: found[part] for part in ("training", "validation", "test")} == {
        "training": ["STS_001", "STS_003", "STS_004", "STS_005"],
        "validation": ["STS_006"],
        "test": ["STS_000", "STS_002"],
    }


STS_SPLIT = {
    "training": ["STS_003", "STS_012", "STS_019", "STS_024"],
    "validation": ["STS_025"],
    "test": ["STS_002", "STS_008"],
}
"""As it was before the parts had a greatest size."""


def test_the_split_of_the_real_sarcomas_stays(tmp_path):
    if not (shared_data() / STS_FOLDER).is_dir():
        pytest.skip("no real data beside the repository or where DGST_DATA says")

    found = pool_of("sts", tmp_path, target=Wanted()).split
    assert {part: found[part] for part in STS_SPLIT} == STS_SPLIT


def test_a_data_set_is_split_once_and_for_all(raw_folder):
    scans = scans_in(raw_folder, Wanted("node")).training
    parts, again = split(scans), split(scans[::-1])

    assert parts == again
    assert {part: len(found) for part, found in parts.items()} == {"validation": 1, "test": 2, "training": 2}
    assert len({scan.name for found in parts.values() for scan in found}) == 5


@pytest.mark.parametrize(("count", "sizes"), [(4, (1, 1, 2)), (5, (1, 2, 2)), (66, (13, 20, 33)), (100, (20, 30, 50))])
def test_a_fifth_of_a_data_set_is_to_choose_on_and_three_in_ten_to_test_on(count, sizes):
    names = [f"{n:04d}" for n in range(count)]

    parts = split([Named(name) for name in names])

    assert tuple(len(parts[part]) for part in ("validation", "test", "training")) == sizes
    assert sorted(scan.name for scans in parts.values() for scan in scans) == names, "each scan once"


def test_a_split_stays_what_it_was():
    parts = split([Named(name) for name in "abcde"])

    # NumPy's generator of the seed [2025, 5] shuffles five as 2 4 0 3 1: one to choose on, two to test on, the rest.
    names = {part: "".join(scan.name for scan in scans) for part, scans in parts.items()}
    assert names == {"validation": "c", "test": "ae", "training": "bd"}


class Named:
    def __init__(self, name):
        self.name = name


def test_of_thousands_of_scans_some_are_chosen_and_tested_on():
    parts = split([Named(f"{n:04d}") for n in range(3346)])

    assert (len(parts["validation"]), len(parts["test"]), len(parts["training"])) == (20, 50, 3276)
    assert max(scan.name for scan in parts["test"]) > "3000"
    fewer = split([Named(f"{n:04d}") for n in range(3346)], Most(validation=5, test=7))
    assert (len(fewer["validation"]), len(fewer["test"])) == (5, 7)


def test_how_many_scans_are_measured_on_can_be_asked_for(tmp_path):
    folder = written(tmp_path / "Dataset1_A", cases=12)

    pool = pool_of(folder, tmp_path / "out", most=Most(validation=1, test=2, training=3))
    assert [len(pool.split[part]) for part in ("validation", "test", "training")] == [1, 2, 3]
    few = open_pool("phantoms", Rows(tmp_path), Sizes(), "phantoms", Choices(most=Most(2, 3)))
    assert [len(few.split[part]) for part in ("validation", "test", "source test")] == [2, 3, 3]


@pytest.mark.parametrize("text", ["0", "-1", "many"])
def test_no_scans_to_measure_on_are_refused(text, capsys):
    with pytest.raises(SystemExit):
        command.main(["--quick", f"--test-scans={text}"])
    assert "is no number of scans" in capsys.readouterr().err


def test_another_label_or_annotation_is_another_benchmark(raw_folder, tmp_path, capsys):
    given = ["--full", "--data", str(raw_folder), "--source", "none", "--out", str(tmp_path / "out"), "--jobs", "1"]
    given.append("--report-only")

    assert command.main([*given, "--label", "node"]) == 0
    assert command.main([*given, "--label", "1"]) == 0, "the same by its value"
    assert command.main([*given, "--label", "tumour"]) == 2
    assert "with another label" in capsys.readouterr().err
    labels = np.ones(SHAPE, np.uint8)
    write_volume(Volume(labels, Geometry.from_parts(SHAPE, (1.0, 1.0, 2.0))), raw_folder / "labelsTr" / "case0.nii.gz")
    assert command.main([*given, "--label", "node"]) == 2
    assert "with another annotation" in capsys.readouterr().err
    assert choice_key("dgst/all/1") not in Rows(tmp_path / "out").read()


def test_a_benchmark_of_real_scans_begun_before_annotations_were_noted_goes_on_with_them(tmp_path, monkeypatch, capsys):
    folder, out = tmp_path / "data" / STS_FOLDER, tmp_path / "out"
    pairs(folder, 4)
    monkeypatch.setenv("DGST_DATA", str(folder.parent))
    given = ["--full", "--data", "sts", "--source", "none", "--out", str(out), "--jobs", "1", "--report-only"]
    assert command.main(given) == 0
    old = json.loads((out / "protocol.json").read_text(encoding="utf-8"))
    for name in READ:
        del old[name]
    (out / "protocol.json").write_text(json.dumps(old), encoding="utf-8")

    assert command.main(given) == 0
    (folder / "STS_001_gtv.nii.gz").write_bytes((folder / "STS_001_ct.nii.gz").read_bytes())
    assert command.main(given) == 2
    assert "with another annotation" in capsys.readouterr().err

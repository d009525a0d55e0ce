from __future__ import annotations

import pytest

from DGSTSegmentLib.cli.main import make_parser
from DGSTSegmentLib.cli.table import cases_of_options, read_table, regions_of
from DGSTSegmentLib.errors import InputError
from DGSTSegmentLib.training.case import parse_boxes
from DGSTSegmentLib.training.case_files import CaseFiles
from DGSTSegmentLib.training.request import FinetuneRequest


@pytest.fixture
def study(tmp_path):
    for name in ("a.nii.gz", "a-seg.nii.gz", "b.nii.gz", "b-seg.nii.gz", "mask.nii.gz", "no.nii.gz"):
        (tmp_path / name).touch()
    (tmp_path / "sub").mkdir()
    return tmp_path


@pytest.fixture
def table(study):
    def write(text, encoding="utf-8"):
        path = study / "cases.csv"
        path.write_bytes(text.encode(encoding))
        return str(path)

    return write


def test_a_row_is_a_case_with_paths_relative_to_the_table(table, study):
    cases = read_table(
        table(
            "image,annotation,completeness,region,rejected\n"
            "a.nii.gz,a-seg.nii.gz,,,\n"
            '"b.nii.gz",b-seg.nii.gz,region,0 0 -10 5 5 10; 1 1 1 2 2 2,no.nii.gz\n'
            "a.nii.gz,a-seg.nii.gz,region,mask.nii.gz,\n"
        )
    )
    assert cases == [
        {"image": str(study / "a.nii.gz"), "annotation": str(study / "a-seg.nii.gz")},
        {
            "image": str(study / "b.nii.gz"),
            "annotation": str(study / "b-seg.nii.gz"),
            "completeness": "region",
            "region": "0 0 -10 5 5 10; 1 1 1 2 2 2",
            "rejected": str(study / "no.nii.gz"),
        },
        {
            "image": str(study / "a.nii.gz"),
            "annotation": str(study / "a-seg.nii.gz"),
            "completeness": "region",
            "region": str(study / "mask.nii.gz"),
        },
    ]


def test_tables_from_spreadsheets_are_read(table):
    text = "\ufeffannotation, image \r\na-seg.nii.gz, a.nii.gz\r\n,\r\n\r\n"
    assert len(read_table(table(text))) == 1


def test_absolute_paths_stay(table, study):
    case = read_table(table(f"image,annotation\n{study}/a.nii.gz,sub/../a-seg.nii.gz\n"))[0]
    assert case["image"] == str(study / "a.nii.gz")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "lacks the column image"),
        ("image\na.nii.gz\n", "lacks the column annotation"),
        ("image;annotation\na.nii.gz;a-seg.nii.gz\n", "separated by commas"),
        ("image,annotation,weight\na.nii.gz,a-seg.nii.gz,3\n", "'weight'"),
        ("image,annotation\n", "holds no case"),
        ("image,annotation\n,a-seg.nii.gz\n", "line 2, names no image"),
        ("image,annotation\na.nii.gz,a-seg.nii.gz\nb.nii.gz\n", "line 3, names no annotation"),
        ("image,annotation\na.nii.gz,a-seg.nii.gz,all\n", "line 2, has more cells"),
        ("image,annotation,labels\na.nii.gz,a-seg.nii.gz,1 x\n", "whole numbers above 0, as in 1 2, not '1 x'"),
        ("image,annotation\nmissing.nii.gz,a-seg.nii.gz\n", "line 2: .*missing.nii.gz does not exist"),
        ("image,annotation,region\na.nii.gz,a-seg.nii.gz,nowhere.nii.gz\n", "nowhere.nii.gz does not exist"),
        ("image,annotation,region\na.nii.gz,a-seg.nii.gz,1 2 3\n", "six numbers"),
        ('image,annotation\n"a.nii.gz,a-seg.nii.gz\n', "not a CSV table"),
    ],
)
def test_a_table_that_cannot_be_used_gets_one_sentence(table, text, words):
    with pytest.raises(InputError, match=words) as told:
        read_table(table(text))
    assert "\n" not in str(told.value)


def test_a_table_in_another_encoding_or_none_at_all_is_refused(table, study):
    with pytest.raises(InputError, match="UTF-8"):
        read_table(table("image,annotation\nä.nii.gz,a-seg.nii.gz\n", "latin-1"))
    with pytest.raises(InputError, match="could not be read"):
        read_table(str(study / "none.csv"))


def test_cases_may_be_given_one_by_one_or_in_a_row(study, monkeypatch):
    monkeypatch.chdir(study)
    one_by_one = cases_of_options([["a.nii.gz", "a-seg.nii.gz"], ["b.nii.gz", "b-seg.nii.gz"]], None, None)
    in_a_row = cases_of_options([["a.nii.gz", "a-seg.nii.gz", "b.nii.gz", "b-seg.nii.gz"]], None, None)
    assert one_by_one == in_a_row
    assert one_by_one[1] == {"image": str(study / "b.nii.gz"), "annotation": str(study / "b-seg.nii.gz")}


def test_labels_say_which_values_are_nodes(table, study, monkeypatch):
    monkeypatch.chdir(study)
    of_options = cases_of_options([["a.nii.gz", "a-seg.nii.gz"]], labels=["2", "1"])
    of_table = read_table(table("image,annotation,labels\na.nii.gz,a-seg.nii.gz,1 2\n"))
    assert of_options == of_table and of_table[0]["labels"] == [1, 2]


def test_regions_go_to_the_cases_in_order(study, monkeypatch):
    monkeypatch.chdir(study)
    groups = [["a.nii.gz", "a-seg.nii.gz"], ["b.nii.gz", "b-seg.nii.gz"]]
    cases = cases_of_options(groups, None, [["0 0 0 1 1 1"], ["mask.nii.gz"]])
    assert [case["region"] for case in cases] == ["0 0 0 1 1 1", str(study / "mask.nii.gz")]
    assert {case["completeness"] for case in cases} == {"region"}
    assert cases_of_options(groups, "region", [["0 0 0 1 1 1", "mask.nii.gz"]]) == cases
    with pytest.raises(InputError, match="2 cases and 1 regions"):
        cases_of_options(groups, "region", [["0 0 0 1 1 1"]])


@pytest.mark.parametrize("numbers", ["0 0 0 1 1", "0 0 0 1 1 1 2 2 2 3 3 3"])
def test_numbers_that_are_no_box_are_not_taken_for_so_many_regions(numbers):
    with pytest.raises(InputError, match=f"six numbers of a box.+ not {numbers}; more boxes stand in quotes"):
        regions_of([numbers.split()])


@pytest.mark.parametrize("box", ["-40 -5.5 -1 0 0 1", "-40, -5.5, -1, 0, 0, 1", "-40,-5.5,-1,0,0,1"])
@pytest.mark.parametrize("in_quotes", [True, False])
def test_a_box_may_begin_below_zero_in_quotes_or_as_so_many_words(study, monkeypatch, box, in_quotes):
    monkeypatch.chdir(study)
    words = [box] if in_quotes else box.split()
    options = make_parser().parse_args(
        ["finetune", "--out", "run", "--case", "a.nii.gz", "a-seg.nii.gz", "--region", *words]
    )
    (case,) = cases_of_options(options.case, None, options.region)
    assert parse_boxes(case["region"]).ravel().tolist() == [-40, -5.5, -1, 0, 0, 1]
    assert case["completeness"] == "region"


def test_a_region_that_another_completeness_does_not_heed_is_refused(study, monkeypatch, table):
    monkeypatch.chdir(study)
    with pytest.raises(InputError, match="--case: a region is given, but completeness is all, which heeds none"):
        cases_of_options([["a.nii.gz", "a-seg.nii.gz"]], "all", [["0 0 0 1 1 1"]])
    with pytest.raises(InputError, match="line 2: a region is given, but completeness is marked"):
        read_table(table("image,annotation,completeness,region\na.nii.gz,a-seg.nii.gz,marked,0 0 0 1 1 1\n"))
    case = CaseFiles("a", "b", completeness="all", region="0 0 0 1 1 1")
    with pytest.raises(InputError, match="a has a region, but its completeness 'all' heeds none"):
        FinetuneRequest("starter", [case], "run").validate()


def test_where_a_region_is_missing_the_option_or_the_column_is_named(study, monkeypatch, table):
    monkeypatch.chdir(study)
    with pytest.raises(InputError, match="none is given; add --region, one a case"):
        cases_of_options([["a.nii.gz", "a-seg.nii.gz"]], "region")
    with pytest.raises(InputError, match="line 2: completeness is region, but the column region is empty"):
        read_table(table("image,annotation,completeness\na.nii.gz,a-seg.nii.gz,region\n"))


def test_an_image_without_annotation_is_refused(study):
    with pytest.raises(InputError, match=r"b\.nii\.gz has no annotation"):
        cases_of_options([["a.nii.gz", "a-seg.nii.gz", "b.nii.gz"]], None, None)

"""The guide opens the section of the next step, scrolls to it, and closes what it had opened itself."""

from __future__ import annotations

import pytest

from .conftest import ball, mark

SECTIONS = ("scanSection", "annotateSection", "finetuneSection", "reviewSection")


@pytest.fixture
def closed(host, panel, ui, scan):
    """All sections closed by the user but the first, and the guide at the first step."""
    for name in SECTIONS[1:]:
        getattr(ui, name).collapsed = True
    host.process_events()
    assert panel.nextStep.step().section == "scanSection"
    return scan


@pytest.fixture
def low(host, panel):
    """A window too low for the whole panel; the scroll bar beside it."""
    area = panel.uiWidget.parentWidget()
    while not hasattr(area, "verticalScrollBar"):
        area = area.parentWidget()
    wide, high = host.window.width, host.window.height
    host.window.resize(wide, 500)
    host.process_events()
    yield area.verticalScrollBar()
    host.window.resize(wide, high)


def opened(ui):
    return [name for name in SECTIONS if not getattr(ui, name).collapsed]


def add_marks(host, panel, logic, scan):
    """Mark a node as a script would, without a brush in the hand."""
    mark(logic, scan, ball())
    panel.annotate.showScan()
    panel.nextStep.refresh()
    host.process_events()


def is_seen(host, widget):
    host.process_events()
    return not widget.visibleRegion().isEmpty()


def test_what_the_guide_opened_is_closed_when_it_goes_on(host, panel, ui, logic, closed):
    add_marks(host, panel, logic, closed)
    assert opened(ui) == ["scanSection", "annotateSection"]
    ui.addCaseButton.click()
    assert opened(ui) == ["scanSection", "finetuneSection"]


@pytest.mark.parametrize("when", ["before the guide", "after the guide"])
def test_what_the_user_opened_stays_open(host, panel, ui, logic, closed, when):
    if when == "before the guide":
        ui.annotateSection.collapsed = False
    add_marks(host, panel, logic, closed)
    if when == "after the guide":
        ui.annotateSection.collapsed = True
        ui.annotateSection.collapsed = False
    ui.addCaseButton.click()
    assert opened(ui) == ["scanSection", "annotateSection", "finetuneSection"]


def test_a_section_off_the_screen_is_scrolled_to(host, panel, ui, logic, closed, low):
    ui.annotateSection.collapsed = ui.reviewSection.collapsed = False
    add_marks(host, panel, logic, closed)
    assert is_seen(host, ui.addCaseButton)
    low.setValue(0)
    assert not is_seen(host, ui.startButton)
    ui.addCaseButton.click()
    assert is_seen(host, ui.startButton)


def test_what_the_user_paints_in_is_neither_closed_nor_scrolled_away(host, panel, ui, logic, closed, low):
    add_marks(host, panel, logic, closed)
    logic.addToTrainingSet(closed)
    ui.annotateSection.collapsed = True
    panel.nextStep.sections.open("annotateSection")
    ui.segmentEditor.setActiveEffectByName("Paint")
    low.setValue(0)
    panel.nextStep.sections.goTo("finetuneSection", "startButton")
    assert "annotateSection" in opened(ui) and not is_seen(host, ui.startButton)
    ui.segmentEditor.setActiveEffectByName("")
    panel.nextStep.sections.goTo("finetuneSection")
    assert "annotateSection" not in opened(ui)


def test_the_review_is_closed_only_when_every_finding_is_decided_on(host, panel, ui, review):
    ui.reviewSection.collapsed = True
    panel.nextStep.sections.open("reviewSection")
    panel.nextStep.sections.goTo("finetuneSection", "startButton")
    assert not ui.reviewSection.collapsed, "the keys decide only while it is open"
    for number in review.table.numbers:
        review.goTo(number)
        ui.acceptButton.click()
    ui.applyButton.click()
    assert panel.nextStep.step().section != "reviewSection" and ui.reviewSection.collapsed

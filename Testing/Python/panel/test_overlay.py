"""How the annotation is drawn: as the findings that it is compared with."""

from __future__ import annotations

import numpy as np
import pytest

from .conftest import mark


@pytest.mark.parametrize("isMarkedBefore", [True, False])
def test_outline_and_opacity_reach_the_annotation_too(host, review, panel, ui, logic, isMarkedBefore):
    from DGSTSegmentLib.panel import roles

    scan = panel.state.scan
    if isMarkedBefore:
        ui.newNodeButton.click()
    ui.outlineCheckBox.click()
    ui.opacitySlider.value = 0.2
    ui.newNodeButton.click()
    display = roles.nodeOf(scan, roles.ANNOTATION).GetDisplayNode()
    assert not display.GetVisibility2DFill() and display.GetVisibility2DOutline()
    assert display.GetOpacity2DFill() == pytest.approx(0.2)
    ui.outlineCheckBox.click()
    ui.opacitySlider.value = 0.7
    assert display.GetVisibility2DFill() and display.GetOpacity2DFill() == pytest.approx(0.7)


def test_outline_only_leaves_the_inside_of_a_mark_free(host, review, panel, ui, logic):
    from preview_host.probes import pixel_of, pixels

    from DGSTSegmentLib.panel import bridge
    from DGSTSegmentLib.panel.review import jumpTo

    scan = panel.state.scan
    review.review.prediction.node.GetDisplayNode().SetVisibility(False)
    mask = np.zeros(bridge.geometryOf(scan).shape, dtype=bool)
    mask[10:20, 25:40, 25:40] = True
    mark(logic, scan, mask)
    panel.annotate.showScan()
    middle = bridge.toRas(bridge.geometryOf(scan).to_world([15, 32, 32]))
    jumpTo(middle)

    def green() -> int:
        picture = pixels("Red").astype(int)
        row, column = pixel_of("Red", middle)
        red, shade, _blue = picture[row, column]
        return shade - red

    assert green() > 20
    ui.outlineCheckBox.click()
    assert abs(green()) < 3

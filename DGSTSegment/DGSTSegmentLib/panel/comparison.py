"""Base and new model side by side, as a few lines of rich text."""

from __future__ import annotations

from html import escape

from slicer.i18n import tr as _

from .models import ModelEntry


def comparison(current: ModelEntry, new: ModelEntry, result: dict) -> str:
    """What was measured before and after on the held-out scans, or the plain sentence that nothing was.

    Args:
        current: the model at work with so far.
        new: what the fine-tuning made.
        result: the run's result, see ``training.finetune.FinetuneResult``.
    """
    steps = _("{name} learned for {steps} steps and changed {share:.1f} % of the weights.").format(
        name=escape(new.title), steps=result["steps"], share=100 * result["weights_changed"]
    )
    stopped = " " + _("It was stopped early and can be resumed.") if result.get("stopped") else ""
    worse = "<p><b>{}</b></p>".format(_("The new model measured worse.")) if isBetter(result) is False else ""
    notes = "".join(f"<li>{escape(note)}</li>" for note in result.get("notes", ()))
    listed = f"<ul>{notes}</ul>" if notes else ""
    return f"<p>{steps}{stopped}</p>{_measured(result.get('held_out'))}{worse}{listed}<p>{_choice(current)}</p>"


def isBetter(result: dict) -> bool | None:
    """Whether the new model measured better than its base; None where nothing was measured."""
    measured = result.get("held_out")
    return measured["dice_after"] > measured["dice_before"] if measured else None


def _measured(measured: dict | None) -> str:
    if not measured:
        return "<p><b>{}</b></p>".format(
            _(
                "Nothing was measured: no scan was held out from training. "
                "Look at its findings beside those of the model before you rely on it."
            )
        )
    titles = ("", _("base"), _("new model"))
    header = "".join(f"<th align='left'>{title}&nbsp;&nbsp;</th>" for title in titles)
    rows = [(_("mean"), measured["dice_before"], measured["dice_after"])]
    rows += [(case["name"], case["before"]["dice"], case["after"]["dice"]) for case in measured["cases"]]
    dice = "".join(_row(_("Dice, {scan}").format(scan=name), f"{a:.2f}", f"{b:.2f}") for name, a, b in rows)
    return (
        f"<p>{_('Held out from training: {count}').format(count=len(measured['cases']))}</p>"
        f"<table>{'<tr>' + header + '</tr>'}{dice}{_recall(measured)}</table>"
    )


def _recall(measured: dict) -> str:
    before, after = measured.get("recall_before"), measured.get("recall_after")
    if before is None or after is None:
        return ""
    return _row(_("marked nodes found"), f"{100 * before:.0f} %", f"{100 * after:.0f} %")


def _row(*cells: str) -> str:
    return "<tr>" + "".join(f"<td>{escape(cell)}&nbsp;&nbsp;</td>" for cell in cells) + "</tr>"


def _choice(current: ModelEntry) -> str:
    return _("{name} stays the model in use until you choose.").format(name=escape(current.title))

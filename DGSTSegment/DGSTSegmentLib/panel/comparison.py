"""Base and new model side by side, as a few lines of rich text."""

from __future__ import annotations

from html import escape

from slicer.i18n import tr as _

from .models import ModelEntry

LEAST_CASES = 2
"""So many held-out scans it takes to recommend a model; one says too little."""


def comparison(current: ModelEntry, new: ModelEntry, result: dict, choice: str) -> str:
    """What was measured before and after on the held-out scans, or the plain sentence that nothing was.

    Args:
        current: the model that was in use when the fine-tuning began.
        new: what the fine-tuning made.
        result: the run's result, see ``training.run_files.FinetuneResult``.
        choice: a sentence on what can be chosen now.
    """
    steps = _("{name} learned for {steps} steps and changed {share:.1f} % of the weights.").format(
        name=escape(new.title), steps=result["steps"], share=100 * result["weights_changed"]
    )
    stopped = " " + _("It was stopped early and can be resumed.") if result.get("stopped") else ""
    notes = "".join(f"<li>{escape(note)}</li>" for note in result.get("notes", ()))
    listed = f"<ul>{notes}</ul>" if notes else ""
    measured = _measured(result.get("held_out")) + _verdict(current, new, result)
    return f"<p>{steps}{stopped}</p>{measured}{listed}<p>{choice}</p>"


def isBetter(result: dict) -> bool | None:
    """Whether the new model measured better than its base; None where nothing was measured, or both the same."""
    measured = result.get("held_out")
    if not measured or measured["dice_after"] == measured["dice_before"]:
        return None
    return measured["dice_after"] > measured["dice_before"]


def recommended(current: ModelEntry, new: ModelEntry, result: dict) -> bool | None:
    """Which model to point at: True the new one, False the one in use, None neither, where too little is known.

    Scans of which only some nodes are marked do not show false findings, one scan is chance, and what was measured
    beside the new model is its base, which need not be the model in use.
    """
    measured = result.get("held_out")
    isEnough = measured and measured.get("complete") and len(measured["cases"]) >= LEAST_CASES
    return isBetter(result) if isEnough and _wasMeasured(current, new) else None


def _wasMeasured(current: ModelEntry, new: ModelEntry) -> bool:
    """Whether the model in use is the very base that the new one was compared with; one fold is not the ensemble."""
    return current.card.fingerprint == (new.card.base or {}).get("fingerprint")


def _verdict(current: ModelEntry, new: ModelEntry, result: dict) -> str:
    measured = result.get("held_out")
    if not measured:
        return ""
    said = {True: "", False: _("The new model measured worse."), None: _("Both measured the same.")}[isBetter(result)]
    lines = [f"<b>{said}</b>"] if said else []
    if not measured.get("complete"):
        lines.append(_("Judged is only what somebody marked or rejected; further findings are counted, not judged."))
    if len(measured["cases"]) < LEAST_CASES:
        lines.append(_("One scan says little; look at its findings before you rely on it."))
    if not _wasMeasured(current, new):
        lines.append(_("{name}, which is in use, was not measured on these scans.").format(name=escape(current.title)))
    return "".join(f"<p>{line}</p>" for line in lines)


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
        f"<table>{'<tr>' + header + '</tr>'}{dice}{_recall(measured)}{_findings(measured)}</table>"
    )


def _recall(measured: dict) -> str:
    before, after = measured.get("recall_before"), measured.get("recall_after")
    if before is None or after is None:
        return ""
    return _row(_("marked nodes found"), f"{100 * before:.0f} %", f"{100 * after:.0f} %")


def _findings(measured: dict) -> str:
    before, after = measured.get("findings_before"), measured.get("findings_after")
    return "" if before is None or after is None else _row(_("findings in all"), str(before), str(after))


def _row(*cells: str) -> str:
    return "<tr>" + "".join(f"<td>{escape(cell)}&nbsp;&nbsp;</td>" for cell in cells) + "</tr>"


def choiceOf(previous: ModelEntry, current: ModelEntry) -> str:
    """What the two buttons below a comparison come to.

    Args:
        previous: the model that was in use when the fine-tuning began.
        current: the model in use now.
    """
    if current.spec == previous.spec:
        return _("{name} stays the model in use until you choose.").format(name=escape(current.title))
    goesBack = _("Keep the previous one goes back to {name}.").format(name=escape(previous.title))
    return f"{inUse(current)} {goesBack}"


def inUse(current: ModelEntry) -> str:
    """Which model is in use, as a sentence."""
    return _("{name} is in use now.").format(name=escape(current.title))

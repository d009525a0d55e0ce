"""What can be chosen for a fine-tuning, in the words of the panel."""

from __future__ import annotations

from slicer.i18n import tr as _

UPDATES = {
    "adam": _("ours: by the mean of past steps (usual)"),
    "rms": _("ours: relative to the row's size"),
    "sgd": _("as in the paper (SGD)"),
}
LAYERS = {
    "": _("as the rule has it"),
    "all": _("all"),
    "encoder": _("encoder"),
    "early": _("first two stages of the encoder"),
}
DEVICES = (("auto", _("GPU where there is one")), ("cpu", _("processor")), ("cuda", _("GPU")))
IN_SHORT = {
    "dgst": _(
        "At each step only the few weights that matter most for your scans move, and scaling, offsets and last layer."
    ),
    "random": _("As many weights as with DGST, but drawn at random; for comparison."),
    "static": _("As many weights as with DGST, but chosen once at the start and kept."),
    "full": _("Every weight of the model moves; it may forget what it knew."),
    "bias": _("Only the offsets of the model's layers and its last layer move; a small change."),
    "norm": _("Only the scaling between the model's layers and its last layer move; a small change."),
    "head": _("Only the last layer moves; the smallest change."),
    "decoder": _("The second half of the model moves, the first half stays."),
    "lora": _("A small correction is learned for every layer and added at the end."),
}
"""What each strategy does, in the words of the panel; the exact ones are the tool tip."""

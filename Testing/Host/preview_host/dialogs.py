"""Modal dialogs that never wait for a user: their replies come from ``answers``.

With a real display, when the preview is used by hand and no answer waits, the real dialog opens.
"""

from __future__ import annotations

from collections.abc import Callable

from PySide6 import QtGui, QtWidgets

from . import answers

Box = QtWidgets.QMessageBox
TITLES = {"question": Box.Icon.Question, "information": Box.Icon.Information}
TITLES |= {"warning": Box.Icon.Warning, "critical": Box.Icon.Critical}


def install() -> None:
    """Put the replacements onto the dialog classes, with PythonQt's return values (plain texts, no tuples)."""
    raw = {cls: cls.exec for cls in (Box, QtWidgets.QDialog, QtWidgets.QMenu)}
    _set_exec(Box, lambda box: _answered_box(box, raw[Box]))
    _set_exec(QtWidgets.QDialog, lambda dialog: _answered_dialog(dialog, raw[QtWidgets.QDialog]))
    _set_exec(QtWidgets.QMenu, lambda menu, *place: _answered_menu(menu, raw[QtWidgets.QMenu], place))
    for name, icon in TITLES.items():
        setattr(Box, name, staticmethod(_box_function(icon)))
    file_dialog, input_dialog = QtWidgets.QFileDialog, QtWidgets.QInputDialog
    for name in ("getExistingDirectory", "getOpenFileName", "getSaveFileName"):
        setattr(file_dialog, name, staticmethod(_file_function(getattr(file_dialog, name))))
    file_dialog.getOpenFileNames = staticmethod(_files_function(file_dialog.getOpenFileNames))
    for name in ("getText", "getItem"):
        setattr(input_dialog, name, staticmethod(_input_function(getattr(input_dialog, name), str, "")))
    input_dialog.getInt = staticmethod(_input_function(input_dialog.getInt, int, 0))
    input_dialog.getDouble = staticmethod(_input_function(input_dialog.getDouble, float, 0.0))
    QtGui.QDesktopServices.openUrl = staticmethod(_open_url)


def by_hand() -> bool:
    """Whether somebody can see a dialog, and no answer was given in advance."""
    return QtGui.QGuiApplication.platformName() not in ("offscreen", "minimal") and not answers.waiting()


def _set_exec(cls: type, function: Callable) -> None:
    for name in ("exec", "exec_"):
        setattr(cls, name, function)


def _answered_box(box: Box, show: Callable):
    """What was pressed: a member of StandardButton where it is one of those."""
    text = "\n".join(part for part in (box.text, box.informativeText) if part)
    if QtGui.QGuiApplication.overrideCursor() is not None:
        raise answers.UnexpectedQuestion(f"asked under an hourglass: {text!r}")
    choices = [b for b in box.buttons() if box.buttonRole(b) != Box.ButtonRole.ActionRole]
    if len(choices) <= 1 and not by_hand():
        answers.tell(text)
        button = next(iter(choices), None)
    elif by_hand():
        show(box)
        button = box.clickedButton()
    else:
        button = _button(box, answers.take(text))
    if button is not None and not by_hand():
        button.click()
    standard = box.standardButton(button) if button is not None else Box.StandardButton.Ok
    return standard if standard != Box.StandardButton.NoButton else box.buttons().index(button)


def _button(box: Box, reply: str | None):
    if reply is None:
        return box.escapeButton() or box.button(Box.StandardButton.Cancel) or box.button(Box.StandardButton.No)
    wanted = reply.replace("&", "").strip().lower()
    names = {b: {b.text.replace("&", "").lower(), (box.standardButton(b).name or "").lower()} for b in box.buttons()}
    for button, known in names.items():
        if wanted in known:
            return button
    offered = sorted(set().union(*names.values()))
    raise answers.UnexpectedQuestion(f"{box.text!r} has no button {reply!r}, only {offered}")


def _box_function(icon) -> Callable:
    def ask(parent, title, text, buttons=Box.StandardButton.Ok, default=Box.StandardButton.NoButton):
        box = Box(icon, title, text, buttons, parent)
        if default != Box.StandardButton.NoButton:
            box.setDefaultButton(default)
        return box.exec()

    return ask


def _answered_dialog(dialog: QtWidgets.QDialog, show: Callable) -> int:
    """An answer is "accept", or None; by it the dialog closes as by its buttons. A function does in the dialog what the
    user does there, and accepts it."""
    if by_hand():
        return show(dialog)
    reply = answers.take(dialog.windowTitle or type(dialog).__name__)
    if callable(reply):
        reply(dialog)
    dialog.accept() if reply is not None else dialog.reject()
    return dialog.result()


def _answered_menu(menu: QtWidgets.QMenu, show: Callable, place: tuple):
    if by_hand():
        return show(menu, *place)
    reply = answers.take(menu.title or "menu")
    if reply is None:
        return None
    action = next((a for a in menu.actions() if a.text.replace("&", "") == reply), None)
    if action is None or not action.enabled:
        raise answers.UnexpectedQuestion(f"the menu offers no {reply!r}, only {[a.text for a in menu.actions()]}")
    action.trigger()
    return action


def _file_function(real: Callable) -> Callable:
    def choose(parent=None, caption="", directory="", *more) -> str:
        """A function as an answer makes the path of the one that the dialog proposes."""
        if by_hand():
            chosen = real(parent, caption, str(directory), *more)
            return chosen if isinstance(chosen, str) else chosen[0]
        reply = answers.take(caption)
        return (reply(str(directory)) if callable(reply) else reply) or ""

    return choose


def _files_function(real: Callable) -> Callable:
    def choose(parent=None, caption="", directory="", *more) -> list[str]:
        """One answer names all files, one a line."""
        if by_hand():
            return real(parent, caption, str(directory), *more)[0]
        return (answers.take(caption) or "").splitlines()

    return choose


def _input_function(real: Callable, kind: type, canceled) -> Callable:
    def ask(parent, title, label, *more):
        if by_hand():
            value, accepted = real(parent, title, label, *more)
            return value if accepted else canceled
        reply = answers.take(f"{title}: {label}")
        return canceled if reply is None else kind(reply)

    return ask


def _open_url(url) -> bool:
    """Nothing is opened on the user's desktop; the address is recorded."""
    answers.opened.append(url.toString())
    return True

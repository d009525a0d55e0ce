"""The host is as strict as PythonQt, so that a module that passes here works in Slicer."""

import sys
import time

import pytest

pytest.importorskip("PySide6")


@pytest.fixture
def qt(host):
    import qt

    return qt


@pytest.fixture
def answers(host):
    from preview_host import answers

    answers.forget()
    yield answers
    answers.forget()


def wait_until(qt, condition, seconds=5.0):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        qt.QApplication.processEvents()
    return condition()


def test_a_property_is_an_attribute_and_not_a_method(qt):
    button = qt.QPushButton("Go")
    button.text = "Stop"
    assert button.text == "Stop"
    with pytest.raises(TypeError):
        button.text()


@pytest.mark.parametrize("name", ["sizeHint", "minimumSizeHint", "size", "width", "visible", "objectName", "toolTip"])
def test_what_a_subclass_of_qt_overrides_is_still_an_attribute(qt, name):
    assert not callable(getattr(qt.QPushButton("Go"), name))


def test_objects_that_qt_makes_itself_obey_too(qt):
    table = qt.QTableWidget(2, 2)
    assert table.verticalHeader().count() == 2 and table.rowCount == 2
    with pytest.raises(AttributeError):
        table.verticalHeader().nonsense = 1


def test_a_plain_qt_object_takes_no_new_attribute(qt):
    with pytest.raises(AttributeError):
        qt.QLabel("x").foo = 3
    with pytest.raises(AttributeError):
        qt.QColor().foo = 3


def test_a_python_subclass_takes_attributes_but_no_slot_is_overwritten(qt):
    class Own(qt.QWidget):
        pass

    own = Own()
    own.mine = 3
    assert own.mine == 3
    with pytest.raises(AttributeError, match="overwritten"):
        own.close = None


def test_a_property_that_can_not_be_written_refuses(qt):
    with pytest.raises(AttributeError, match="not writable"):
        qt.QWidget().width = 3


@pytest.mark.parametrize("name", ["QThread", "pyqtSignal", "Signal", "QtCore"])
def test_the_module_holds_only_what_slicers_holds(qt, name):
    with pytest.raises(AttributeError):
        getattr(qt, name)


def test_what_only_qt_6_has_is_missing(qt):
    assert not hasattr(qt.QCheckBox, "checkStateChanged")
    with pytest.raises(ValueError):
        qt.QCheckBox().connect("checkStateChanged(Qt::CheckState)", print)


@pytest.mark.parametrize("signal", ["clickd()", "clicked", "clicked(int)", "buttonClicked()"])
def test_connecting_a_signal_that_is_none_raises(qt, signal):
    with pytest.raises(ValueError, match="no signal"):
        qt.QPushButton().connect(signal, print)


def test_a_slot_may_take_fewer_arguments_than_the_signal(qt):
    got, button = [], qt.QPushButton("x")
    button.setCheckable(True)
    button.connect("toggled(bool)", lambda: got.append("none"))
    button.connect("toggled(bool)", lambda on: got.append(on))
    button.connect("toggled(bool)", got.append)
    button.click()
    assert got == ["none", True, True]


def test_disconnect_takes_the_slot_away_and_says_whether_it_was_there(qt):
    got, button = [], qt.QPushButton("x")
    assert button.connect("clicked()", got.clear) and button.disconnect("clicked()", got.clear)
    assert not button.disconnect("clicked()", got.clear)


def test_a_bound_method_of_an_object_that_nobody_else_holds_is_still_called(qt):
    got = []

    class Holder:
        def slot(self):
            got.append(1)

    button = qt.QPushButton("x")
    button.connect("clicked()", Holder().slot)
    button.click()
    assert got == [1]


def test_children_are_found_by_class_and_by_class_name(qt):
    top = qt.QWidget()
    label = qt.QLabel("x", top)
    label.setObjectName("it")
    assert top.findChild(qt.QLabel) is top.findChild("QLabel", "it") is label
    assert top.findChild("QLabel", "other") is None and label.className() == "QLabel"


def test_timers_fire_and_single_shots_call_any_callable(qt):
    got, timer = [], qt.QTimer()
    timer.setInterval(1)
    timer.connect("timeout()", lambda: got.append("timer"))
    timer.start()
    qt.QTimer.singleShot(0, lambda: got.append("once"))
    assert wait_until(qt, lambda: got.count("timer") > 1 and "once" in got)
    timer.stop()
    assert not timer.active and got.count("once") == 1


def test_a_process_talks_through_bytes(qt):
    process, ended, out = qt.QProcess(), [], []
    process.connect("finished(int,QProcess::ExitStatus)", lambda code, status: ended.append((code, status)))
    process.connect("readyReadStandardOutput()", lambda: out.append(process.readAllStandardOutput().data()))
    process.start(sys.executable, ["-c", "import sys; print(sys.stdin.read()[::-1]); sys.exit(3)"])
    process.write(b"abc")
    process.closeWriteChannel()
    assert wait_until(qt, lambda: ended, 20)
    assert ended == [(3, qt.QProcess.NormalExit)] and b"".join(out).strip() == b"cba"
    assert process.state() == qt.QProcess.NotRunning


def test_a_program_that_is_not_there_is_an_error_event(qt):
    process, errors = qt.QProcess(), []
    process.connect("errorOccurred(QProcess::ProcessError)", errors.append)
    process.start("/no/such/program", [])
    assert wait_until(qt, lambda: errors) and errors == [qt.QProcess.FailedToStart]


def test_settings_are_not_the_users(qt, tmp_path):
    settings = qt.QSettings()
    settings.setValue("Preview/key", "value")
    assert qt.QSettings().value("Preview/key") == "value"
    assert "preview_host" in settings.fileName()
    with pytest.raises(TypeError):
        settings.value("Preview/key", "", type=str)


def test_questions_take_the_answers_in_turn(qt, answers):
    answers.give("yes", "/data/study", None, "name")
    buttons = qt.QMessageBox.Yes | qt.QMessageBox.No
    assert qt.QMessageBox.question(None, "Title", "Sure?", buttons) == qt.QMessageBox.Yes
    assert qt.QFileDialog.getExistingDirectory(None, "Study folder") == "/data/study"
    assert qt.QFileDialog.getSaveFileName(None, "Report") == ""
    assert qt.QInputDialog.getText(None, "New", "Name:") == "name"
    assert answers.asked == ["Sure?", "Study folder", "Report", "New: Name:"]


def test_a_question_that_nobody_answers_raises_instead_of_waiting(qt, answers):
    with pytest.raises(answers.UnexpectedQuestion):
        qt.QMessageBox.question(None, "Title", "Sure?", qt.QMessageBox.Yes | qt.QMessageBox.No)
    with pytest.raises(answers.UnexpectedQuestion):
        qt.QFileDialog.getOpenFileName(None, "Open")


def test_an_answer_must_be_one_of_the_buttons(qt, answers):
    answers.give("maybe")
    with pytest.raises(answers.UnexpectedQuestion, match="no button"):
        qt.QMessageBox.question(None, "Title", "Sure?", qt.QMessageBox.Yes | qt.QMessageBox.No)


def test_a_box_with_own_buttons_says_which_was_pressed(qt, answers):
    box = qt.QMessageBox()
    box.text = "Which?"
    wanted = box.addButton("&Before", qt.QMessageBox.AcceptRole)
    box.addButton("After", qt.QMessageBox.RejectRole)
    answers.give("before")
    box.exec_()
    assert box.clickedButton() is wanted


def test_messages_are_recorded_and_need_no_answer(host, answers):
    import slicer

    slicer.util.errorDisplay("It broke.")
    with pytest.raises(ZeroDivisionError), slicer.util.tryWithErrorDisplay("The scan failed.", waitCursor=True):
        print(1 // 0)
    assert answers.shown[0] == "It broke." and answers.shown[1].startswith("The scan failed.")


def test_confirming_takes_an_answer(host, answers):
    import slicer

    answers.give("yes", "cancel")
    assert slicer.util.confirmYesNoDisplay("Replace it?")
    assert not slicer.util.confirmOkCancelDisplay("Go on?")


def test_pip_installs_nothing_here(host):
    import slicer

    with pytest.raises(RuntimeError, match="installs nothing"):
        slicer.util.pip_install("torch")

"""``w.connect("signal(args)", f)`` as PythonQt has it, on Qt's own signals and on those of Python stand-ins."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable

import shiboken6
from PySide6 import QtCore

from . import api

RAW_CONNECT = QtCore.QObject.connect
RAW_DISCONNECT = QtCore.QObject.disconnect
_SIGNALS: dict[type, frozenset[str]] = {}
_SLOTS: dict[type, frozenset[str]] = {}
_CONNECTED: dict[int, list] = {}


class HostSignal:
    """A signal of a stand-in class whose arguments Qt has no types for, such as MRML nodes.

    Args:
        signatures: as Slicer spells them; the first overloads take the first arguments.

    Example::

        class Combo(qt.QWidget):
            currentNodeChanged = HostSignal("currentNodeChanged(vtkMRMLNode*)", "currentNodeChanged(bool)")

        combo.currentNodeChanged.emit(node)                        # every overload
        combo.currentNodeChanged.emit({"vtkMRMLNode*": node, "bool": True})  # each its own arguments
    """

    def __init__(self, *signatures: str):
        self.signatures = tuple(_normalized(signature) for signature in signatures)

    def __set_name__(self, owner: type, name: str) -> None:
        self.key = f"_host_signal_{name}"

    def __get__(self, instance, owner: type | None = None):
        if instance is None:
            return self
        if self.key not in instance.__dict__:
            instance.__dict__[self.key] = BoundSignal(self.signatures)
        return instance.__dict__[self.key]


class BoundSignal:
    """A HostSignal of one object."""

    def __init__(self, signatures: tuple[str, ...]):
        self.slots: dict[str, list[Callable]] = {signature: [] for signature in signatures}

    def connect(self, slot: Callable) -> None:
        """Call ``slot`` with the arguments of the first overload."""
        next(iter(self.slots.values())).append(slot)

    def disconnect(self, slot: Callable) -> None:
        """Undo ``connect``.

        Raises:
            ValueError: when it was not connected.
        """
        next(iter(self.slots.values())).remove(slot)

    def emit(self, *args) -> None:
        """Call all slots; one dict, keyed by parameter types, gives each overload its own argument."""
        by_types = args[0] if len(args) == 1 and isinstance(args[0], dict) else None
        for signature, slots in self.slots.items():
            types = signature[signature.index("(") + 1 : -1]
            given = args if by_types is None else (by_types[types],) if types else ()
            for slot in tuple(slots):
                fitting(slot)(*given[: _count(types)])


def connect(self: QtCore.QObject, signal: str, *receiver) -> bool:
    """PythonQt's ``connect("signal(args)", callable)`` and ``connect("signal(args)", object, "slot(args)")``.

    Raises:
        ValueError: when the object has no such signal, in Slicer or in the host.
        TypeError: when the receiver is neither a callable nor an object with a slot's signature.
    """
    slot = _receiving(receiver)
    host_signal = _host_signal(self, signal)
    if host_signal is not None:
        host_signal.append(slot)
        return True
    name = _checked(self, signal)
    adapter = fitting(slot)
    _adapters(self).append((name, slot, adapter))
    return bool(RAW_CONNECT(self, "2" + name, adapter))


def disconnect(self: QtCore.QObject, signal: str, *receiver) -> bool:
    """Undo ``connect``; False when it was not connected.

    Raises:
        ValueError: when the object has no such signal.
    """
    slot = _receiving(receiver)
    host_signal = _host_signal(self, signal)
    if host_signal is not None:
        return _removed(host_signal, slot)
    name = _checked(self, signal)
    for entry in _adapters(self):
        if entry[0] == name and entry[1] == slot:
            _adapters(self).remove(entry)
            return bool(RAW_DISCONNECT(self, "2" + name, entry[2]))
    return False


def fitting(slot: Callable) -> Callable:
    """``slot`` called with as many of the arguments as it takes."""
    limit = _positional_limit(slot)
    return slot if limit is None else lambda *args: slot(*args[:limit])


def learn(classes: Iterable[type]) -> None:
    """Note the signals and slots of Qt's own classes, once and early.

    The meta object of an object that is gone takes its class's Python face with it, so it is not asked again.
    """
    for cls in classes:
        meta = cls.staticMetaObject
        methods = [meta.method(index) for index in range(meta.methodCount())]
        names = {m.methodSignature().data().decode(): m.methodType() for m in methods}
        _SIGNALS[cls] = frozenset(n for n, kind in names.items() if kind == QtCore.QMetaMethod.MethodType.Signal)
        _SLOTS[cls] = frozenset(names) - _SIGNALS[cls]


def _receiving(receiver: tuple) -> Callable:
    if len(receiver) == 2 and isinstance(receiver[1], str):
        target, signature = receiver
        return fitting_slot(target, signature)
    if len(receiver) == 1 and callable(receiver[0]):
        return receiver[0]
    raise TypeError(f"a callable or (object, 'slot(args)') expected, got {receiver!r}")


def fitting_slot(target: QtCore.QObject, signature: str) -> Callable:
    """The method of ``target`` that a C++ slot's signature names, taking that many arguments."""
    name, types = _normalized(signature)[:-1].split("(")
    method = getattr(target, name)
    count = _count(types)

    def slot(*args):
        return method(*args[:count])

    return slot


def _host_signal(sender: QtCore.QObject, signal: str) -> list | None:
    name = _normalized(signal)
    declared = getattr(type(sender), name.split("(")[0], None)
    if not isinstance(declared, HostSignal):
        return None
    slots = getattr(sender, name.split("(")[0]).slots
    if name not in slots:
        raise ValueError(f"{type(sender).__name__} has no signal {signal!r}, only {', '.join(slots)}")
    return slots[name]


def _checked(sender: QtCore.QObject, signal: str) -> str:
    """Qt 6 has signals that Slicer's Qt 5 has not; own signals of Python classes are their own affair."""
    name = _normalized(signal)
    native = _native(sender)
    known = api.classes().get(f"qt.{native.__name__}")
    if name in _SIGNALS[native]:
        in_slicer = known is None or known.properties is None or name in known.signals
    else:
        in_slicer = type(sender) is not native and sender.metaObject().indexOfSignal(name) >= 0
    if not in_slicer:
        raise ValueError(f"{type(sender).__name__} has no signal {signal!r}")
    return name


def _native(sender: QtCore.QObject) -> type:
    return next(base for base in type(sender).__mro__ if base in _SIGNALS)


def _normalized(signature: str) -> str:
    return QtCore.QMetaObject.normalizedSignature(signature).data().decode()


def _count(types: str) -> int:
    return types.count(",") + 1 if types else 0


def _removed(slots: list, slot: Callable) -> bool:
    if slot not in slots:
        return False
    slots.remove(slot)
    return True


def _adapters(sender: QtCore.QObject) -> list:
    """What was connected to the C++ object, whose Python face may come and go."""
    key = shiboken6.getCppPointer(sender)[0]
    if key not in _CONNECTED:
        _CONNECTED[key] = []
        RAW_CONNECT(sender, "2destroyed()", lambda: _CONNECTED.pop(key, None))
    return _CONNECTED[key]


def _positional_limit(slot: Callable) -> int | None:
    """PythonQt counts arguments of Python functions and methods only; anything else gets them all."""
    function = slot.__func__ if inspect.ismethod(slot) else slot
    if not inspect.isfunction(function) or function.__code__.co_flags & inspect.CO_VARARGS:
        return None if inspect.isfunction(function) else _native_limit(slot)
    return function.__code__.co_argcount - (1 if inspect.ismethod(slot) else 0)


def _native_limit(slot: Callable) -> int | None:
    """A slot of Qt itself (``timer.stop``) takes no more than its longest overload."""
    owner = getattr(slot, "__self__", None)
    if not isinstance(owner, QtCore.QObject):
        return None
    counts = [
        _count(each[:-1].split("(")[1]) for each in _SLOTS[_native(owner)] if each.startswith(f"{slot.__name__}(")
    ]
    return max(counts) if counts else None

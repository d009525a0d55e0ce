"""PythonQt's rules, put onto PySide6's classes in place.

Properties are attributes, nothing new can be set on a plain Qt object, and what Slicer's Qt 5 has not is not there.
In place, so that the objects which Qt itself makes obey too.
"""

from __future__ import annotations

import types
from collections.abc import Iterable

import shiboken6
from PySide6 import QtCore, QtWidgets

from . import api, pythonqt_signals

QT_ASKS_FOR = {"connectNotify", "disconnectNotify", "doSetSource", "resolveInterface", "staticMetaObject"}
RENAMED = {"connect": pythonqt_signals.connect, "disconnect": pythonqt_signals.disconnect}


def apply(classes: Iterable[type]) -> None:
    """Patch all of the classes; bases may stand anywhere in the order."""
    in_slicer = _properties_by_class(classes := list(classes))
    pythonqt_signals.learn(in_slicer)
    raw = {cls: dict(vars(cls)) for cls in classes}
    for cls in classes:
        if issubclass(cls, QtCore.QObject):
            _make_properties(cls, raw[cls], in_slicer[cls])
            _leave_out_what_slicer_lacks(cls)
        if "__getattribute__" in raw[cls] and issubclass(cls, QtCore.QObject):
            cls.__getattribute__ = _getattribute(raw[cls]["__getattribute__"])
        if "__setattr__" in raw[cls] or cls.__mro__[1] not in raw:
            cls.__setattr__ = _set_strictly
    _add_methods_of_pythonqt()


def is_native(cls: type) -> bool:
    """Whether the class is Qt's own, not one written in Python."""
    return cls.__module__.startswith("PySide6")


def _properties_by_class(classes: list[type]) -> dict[type, frozenset[str] | None]:
    """Names of Slicer's properties for each class, from itself or its nearest relative in the extract."""
    known = {cls: api.classes().get(f"qt.{cls.__name__}") for cls in classes if issubclass(cls, QtCore.QObject)}
    described = {cls: entry.properties for cls, entry in known.items() if entry and entry.properties is not None}
    found: dict[type, frozenset[str] | None] = {}
    for cls in known:
        relatives = [names for other, names in described.items() if issubclass(other, cls)]
        found[cls] = frozenset().union(*relatives) if relatives else None
    return found


def _make_properties(cls: type, raw: dict, in_slicer: frozenset[str] | None) -> None:
    meta = cls.staticMetaObject
    for index in range(meta.propertyCount()):
        name = meta.property(index).name()
        here = index >= meta.propertyOffset() or name in raw
        if here and (in_slicer is None or name in in_slicer):
            setattr(cls, name, QtProperty(name, raw.get(name), meta.property(index).isWritable()))


class QtProperty(property):
    """A property of Qt; on the class itself its getter stays in reach, as static ones are called there."""

    def __init__(self, name: str, method, writable: bool):
        def read(instance):
            return method(instance) if callable(method) else QtCore.QObject.property(instance, name)

        def write(instance, value):
            setter = getattr(instance, f"set{name[0].upper()}{name[1:]}", None)
            if setter is not None:
                setter(value)
            elif not QtCore.QObject.setProperty(instance, name, value):
                raise AttributeError(f"property {name!r} of {type(instance).__name__} does not accept {value!r}")

        super().__init__(read, write if writable else None)
        self.method = method

    def __get__(self, instance, owner: type | None = None):
        if instance is not None:
            return super().__get__(instance, owner)
        return self if self.method is None else getattr(self.method, "__func__", self.method)


def _leave_out_what_slicer_lacks(cls: type) -> None:
    """Not from item views and other holders of virtual functions that Qt 6 calls itself: it must find them."""
    known = api.classes().get(f"qt.{cls.__name__}")
    if known is None or issubclass(cls, QtWidgets.QAbstractItemView):
        return
    public = [name for name in vars(cls) if not name.startswith("_") and name not in QT_ASKS_FOR]
    for name in public:
        value = vars(cls)[name]
        if name.rstrip("_") not in known.attributes and not isinstance(value, (type, property)):
            delattr(cls, name)


def _getattribute(original):
    def get(self, name):
        if name in RENAMED:
            return types.MethodType(RENAMED[name], self)
        return original(self, name)

    return get


def _set_strictly(self, name, value):
    cls = type(self)
    member = next((vars(base)[name] for base in cls.__mro__ if name in vars(base)), None)
    if isinstance(member, property) and member.fset is None:
        raise AttributeError(f"property {name!r} of {cls.__name__} is not writable")
    if hasattr(type(member), "__set__"):
        type(member).__set__(member, self, value)
    elif is_native(cls):
        raise AttributeError(f"{name!r} does not exist on {cls.__name__}; a Qt object takes no new attributes")
    elif not name.startswith("_") and _is_natives_own(cls, name, member):
        raise AttributeError(f"slot {name!r} can not be overwritten on {cls.__name__}")
    else:
        self.__dict__[name] = value


def _is_natives_own(cls: type, name: str, member) -> bool:
    if member is None:
        return False
    owner = next((base for base in cls.__mro__ if name in vars(base)), object)
    return is_native(owner)


def _add_methods_of_pythonqt() -> None:
    qobject = QtCore.QObject
    find_all = qobject.findChildren
    qobject.className = lambda self: _qt_class_name(type(self))
    qobject.delete = lambda self: shiboken6.delete(self)
    qobject.name = property(lambda self: self.objectName, lambda self, value: self.setObjectName(value))
    qobject.findChild = lambda self, kind, name="": next(iter(_found(self, find_all, kind, name)), None)
    qobject.findChildren = lambda self, kind, name="": _found(self, find_all, kind, name)


def _qt_class_name(cls: type) -> str:
    """Classes of the module are Python's: C++ sees their nearest Qt class, or the stand-in for one."""
    return next(c.__name__ for c in cls.__mro__ if is_native(c) or c.__module__.startswith(__package__))


def _found(parent: QtCore.QObject, find_all, kind, name: str) -> list:
    named = (name,) if name else ()
    if not isinstance(kind, str):
        return find_all(parent, kind, *named)
    every = find_all(parent, QtCore.QObject, *named)
    return [child for child in every if kind in {c.__name__ for c in type(child).__mro__}]

"""How values of parameters are kept on a scripted module node: as text parameters and node references."""

from __future__ import annotations

import types
import typing
from collections.abc import Callable

import slicer


class ObservedList(list):
    """A list that is written back when it is changed in place."""

    def __init__(self, values, write: Callable[[list], None]):
        super().__init__(values)
        self._write = write


def _writing_back(name: str):
    plain = getattr(list, name)

    def change(self, *args, **kwargs):
        result = plain(self, *args, **kwargs)
        self._write(list(self))
        return result

    change.__name__ = name
    return change


_CHANGES = (list.append, list.extend, list.insert, list.remove, list.pop, list.clear, list.sort, list.reverse)
_CHANGES += (list.__setitem__, list.__delitem__, list.__iadd__)
for _name in [change.__name__ for change in _CHANGES]:
    setattr(ObservedList, _name, _writing_back(_name))


class TextStorage:
    """str, int, float and bool."""

    EMPTY = {str: "", int: 0, float: 0.0, bool: False}

    def __init__(self, kind: type):
        self.kind = kind

    def empty(self):
        """What a parameter without a default begins with."""
        return self.EMPTY[self.kind]

    def is_in(self, node, name: str) -> bool:
        """Whether the node keeps a value."""
        return node.GetParameter(name) is not None and name in node.GetParameterNames()

    def read(self, node, name: str):
        """The value that the node keeps."""
        text = node.GetParameter(name)
        return text == "True" if self.kind is bool else self.kind(text)

    def check(self, name: str, value) -> None:
        """ValueError for a value of another type."""
        allowed = (int, float) if self.kind is float else (self.kind,)
        if not isinstance(value, allowed) or (isinstance(value, bool) and self.kind is not bool):
            raise ValueError(f"{name} is a {self.kind.__name__}, not {value!r}")

    def write(self, node, name: str, value) -> None:
        """Keep a value."""
        self.check(name, value)
        node.SetParameter(name, str(self.kind(value)))

    def remove(self, node, name: str) -> None:
        """Forget the value."""
        node.UnsetParameter(name)


class NodeStorage:
    """MRML nodes, None among them."""

    def __init__(self, kind: type):
        self.kind = kind

    def empty(self) -> None:
        """No node."""

    def is_in(self, node, name: str) -> bool:
        """A missing reference is None, which is a value."""
        return True

    def read(self, node, name: str):
        """The node that is referred to, or None."""
        return node.GetNodeReference(name)

    def check(self, name: str, value) -> None:
        """ValueError for a node of another class."""
        if value is not None and not isinstance(value, self.kind):
            raise ValueError(f"{name} is a {self.kind.__name__}, not {value!r}")

    def write(self, node, name: str, value) -> None:
        """Refer to a node."""
        self.check(name, value)
        node.SetNodeReferenceID(name, value.GetID() if value is not None else None)


class ListStorage:
    """Lists: their length, and each item under a numbered name."""

    def __init__(self, items):
        self.items = items

    def empty(self) -> list:
        """No items."""
        return []

    def is_in(self, node, name: str) -> bool:
        """Whether the node keeps a list."""
        return f"{name}_len" in node.GetParameterNames()

    def read(self, node, name: str) -> ObservedList:
        """The list, which writes itself back."""
        count = int(node.GetParameter(f"{name}_len"))
        values = [self.items.read(node, f"{name}_{index}") for index in range(count)]
        return ObservedList(values, lambda changed: self.write(node, name, changed))

    def check(self, name: str, value) -> None:
        """ValueError for anything but a list of such items."""
        if not isinstance(value, list):
            raise ValueError(f"{name} is a list, not {value!r}")
        for item in value:
            self.items.check(name, item)

    def write(self, node, name: str, value) -> None:
        """Keep a list."""
        self.check(name, value)
        modify = node.StartModify()
        try:
            old = int(node.GetParameter(f"{name}_len") or 0)
            for index, item in enumerate(value):
                self.items.write(node, f"{name}_{index}", item)
            for index in range(len(value), old):
                self.items.remove(node, f"{name}_{index}")
            node.SetParameter(f"{name}_len", str(len(value)))
        finally:
            node.EndModify(modify)


def storage_for(kind) -> TextStorage | NodeStorage | ListStorage:
    """How values of a type are kept.

    Raises:
        ValueError: for a type that the host does not keep.
    """
    kind = _without_none(kind)
    if kind in TextStorage.EMPTY:
        return TextStorage(kind)
    if isinstance(kind, type) and issubclass(kind, slicer.vtkMRMLNode):
        return NodeStorage(kind)
    if typing.get_origin(kind) is list and typing.get_args(kind)[0] in TextStorage.EMPTY:
        return ListStorage(TextStorage(typing.get_args(kind)[0]))
    raise ValueError(f"the preview host keeps no parameters of type {kind}")


def _without_none(kind):
    """``Optional[Node]`` is kept as ``Node``: a reference may be missing anyway."""
    if typing.get_origin(kind) not in (typing.Union, types.UnionType):
        return kind
    others = [each for each in typing.get_args(kind) if each is not type(None)]
    is_node = len(others) == 1 and isinstance(others[0], type) and issubclass(others[0], slicer.vtkMRMLNode)
    return others[0] if is_node else kind

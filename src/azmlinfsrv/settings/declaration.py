"""How a setting is declared, and what can be asked about a declaration.

A field of `Settings` carries one `Setting` in its annotation, beside the type and its
range. Command line, environment, configuration file, listing and documentation are all
generated from `DeclaredField`; none of them repeats a name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec
from msgspec import NODEFAULT, Meta, Struct

from azmlinfsrv.settings.conversion import read_float, read_int, read_switch, read_word
from azmlinfsrv.settings.secret import Secret

Reader = Callable[[str], object]


class Setting(Struct, frozen=True):
    """What a field says about itself.

    Attributes:
        help: One or two sentences for ``--help`` and the docs.
        group: The heading it stands under.
        flag: As documented, ``--worker_count``; empty if it has none.
        env: Names of the environment variable, the preferred one first.
        keys: Keys in the configuration file; the names in *env* unless given.
        attribute: Name the reference server gives the setting; ``AML_<attribute>`` is read
            from the environment as well (R2.3). Empty if it has none.
        reader: Turns the text of a flag or variable into a value, if the type's own will not do.
        is_switch: The flag takes no value.
        off_flag: Of a switch that other settings may turn on: the flag that turns it off.
        in_file: May come from the configuration file.
        is_hidden: Left out of ``--help``.
        is_forgiving: A value that makes no sense is one warning, not an error.
        default_text: How the default reads in the docs, if the value does not say it.
    """

    help: str
    group: str
    flag: str = ""
    env: tuple[str, ...] = ()
    keys: tuple[str, ...] | None = None
    attribute: str = ""
    reader: Reader | None = None
    is_switch: bool = False
    off_flag: str = ""
    in_file: bool = True
    is_hidden: bool = False
    is_forgiving: bool = False
    default_text: str = ""


class DeclaredField(Struct, frozen=True):
    """One field of a settings struct, with everything its annotation says.

    Attributes:
        type: The whole annotation, ranges included: what `msgspec.convert` takes.
        kind: The bare type: ``int``, ``float``, ``bool``, ``str`` or `Secret`.
        choices: The words it may be, if it is a choice.
        minimum, maximum: The accepted range; None if open.
        is_required_text: It is a text that may not be empty.
    """

    name: str
    type: Any
    kind: type
    default: Any
    setting: Setting
    choices: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    is_required_text: bool = False

    @property
    def is_secret(self) -> bool:
        return self.kind is Secret

    @property
    def variables(self) -> tuple[str, ...]:
        """Every environment name it is read from, the preferred one first (R2.3)."""
        accident = f"AML_{self.setting.attribute.upper()}" if self.setting.attribute else ""
        names = (*self.setting.env, accident) if accident else self.setting.env
        return tuple(dict.fromkeys(names))

    @property
    def keys(self) -> tuple[str, ...]:
        """Every key it is read from in the configuration file, the preferred one first."""
        if not self.setting.in_file:
            return ()
        return self.setting.env if self.setting.keys is None else self.setting.keys

    @property
    def expects(self) -> str:
        """What a value must be, for a message: ``an integer from 1 to 65535``."""
        if self.choices:
            return f"one of {', '.join(self.choices)}"
        if self.kind is bool:
            return "true or false"
        if self.kind in (int, float):
            noun = "an integer" if self.kind is int else "a number"
            return f"{noun}{_range_text(self.minimum, self.maximum)}"
        return "a text, not empty" if self.is_required_text else "a text"

    def read(self, text: str) -> object:
        """The plain value of a text from a flag or a variable.

        Raises:
            ValueError, KeyError: it is none; range and choices are not looked at here.
        """
        return (self.setting.reader or self._own_reader)(text)

    @property
    def _own_reader(self) -> Reader:
        return read_word if self.choices else _READERS[self.kind]


_READERS: Mapping[type, Reader] = {
    int: read_int,
    float: read_float,
    bool: read_switch,
    str: str,
    Secret: Secret,
}


def _range_text(minimum: float | None, maximum: float | None) -> str:
    if minimum is None:
        return "" if maximum is None else f" up to {maximum:.0f}"
    return f" from {minimum:.0f}" + ("" if maximum is None else f" to {maximum:.0f}")


@lru_cache(maxsize=8)
def declared_fields(settings: type[Struct]) -> tuple[DeclaredField, ...]:
    """The fields of a settings struct, in the order of its source.

    Raises:
        TypeError: a field has no default or no `Setting`.
    """
    return tuple(_declared(info) for info in msgspec.structs.fields(settings))


def _declared(info: msgspec.structs.FieldInfo) -> DeclaredField:
    if get_origin(info.type) is not Annotated or info.default is NODEFAULT:
        raise TypeError(f"{info.name}: a setting has a default and a Setting in its annotation")
    bare, *notes = get_args(info.type)
    [setting] = [note for note in notes if isinstance(note, Setting)]
    members = get_args(bare) if get_origin(bare) in (Union, UnionType) else (bare,)
    [inner] = [member for member in members if member is not NoneType]
    if get_origin(inner) is Annotated:  # `Seconds | None` keeps its range inside
        inner, *inner_notes = get_args(inner)
        notes += inner_notes
    limits = next((note for note in notes if isinstance(note, Meta)), Meta())
    is_choice = get_origin(inner) is Literal
    return DeclaredField(
        name=info.name,
        type=info.type,
        kind=str if is_choice else inner,
        default=info.default,
        setting=setting,
        choices=get_args(inner) if is_choice else (),
        minimum=limits.ge,
        maximum=limits.le,
        is_required_text=bool(limits.min_length),
    )

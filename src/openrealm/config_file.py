"""Configuration files: settings as TOML or YAML, read for `--config` and written by `openrealm config`."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from openrealm.errors import BadConfig, BadInput
from openrealm.section import Section, known_settings, read_setting, written

Format = Literal["toml", "yaml"]


def read_settings(path: Path, section: type[Section]) -> list[str]:
    """The settings in a TOML or YAML file, as "key=value" for `with_settings`.

    Raises BadInput if the file cannot be read or parsed, and BadConfig if it has an unknown key or a wrong value. Both
    name the file.
    """
    settings = []
    for key, value in _flat(_parse(path)):
        try:
            text = f"{key}={written(value)}"
            read_setting(section, text)
        except ValueError:  # an integer of thousands of digits, written in another base
            raise BadConfig(f"{path}: {key} is a number that is too long.") from None
        except BadConfig as error:
            raise BadConfig(f"{path}: {error}") from None
        settings.append(text)
    return settings


def file_text(config: Section, format: Format) -> str:
    """`config` as a TOML or YAML file that `read_settings` reads, with the meaning of each setting as a comment.

    TOML has no null; settings without a value are written as "none" in both formats.
    """
    known, lines, section = known_settings(type(config)), [], ""
    for key, value in _flat(config.to_dict()):
        owner, _, name = key.rpartition(".")
        if owner != section:
            lines += ["", f"[{owner}]" if format == "toml" else f"{owner}:"]
            section = owner
        indent, assigned = ("", " = ") if format == "toml" else ("  " * bool(owner), ": ")
        one = known[key]
        comment = one.meaning + f" [{one.source}]" * bool(one.source)
        lines.append(f"{indent}{name}{assigned}{_literal(value)}  # {comment}")
    return "\n".join(lines) + "\n"


def _parse(path: Path) -> Mapping[str, Any]:
    try:
        content = path.read_text(encoding="utf-8")
    except OSError as error:
        raise BadInput(f"{path}: the configuration file could not be read ({error.strerror}).") from None
    except UnicodeDecodeError:
        raise BadInput(f"{path}: a configuration file in UTF-8 is expected.") from None
    if path.suffix == ".toml":
        values = _parse_toml(path, content)
    elif path.suffix in (".yaml", ".yml", ".json"):  # JSON is YAML
        values = _parse_yaml(path, content)
    else:
        raise BadInput(f"{path}: a configuration file that ends in .toml, .yaml, .yml or .json is expected.")
    if not isinstance(values, Mapping):
        raise BadInput(f"{path}: sections with settings are expected, such as pretrain with num_steps.")
    return values


def _parse_toml(path: Path, content: str) -> Any:
    try:
        return tomllib.loads(content)
    except (ValueError, RecursionError) as error:  # ValueError also for integers of thousands of digits
        raise BadInput(f"{path}: not valid TOML: {error}.") from None


def _parse_yaml(path: Path, content: str) -> Any:
    import yaml

    try:
        return yaml.safe_load(content) or {}
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f" (at line {mark.line + 1}, column {mark.column + 1})" if mark else ""
        raise BadInput(f"{path}: not valid YAML: {error.problem}{place}.") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise BadInput(f"{path}: not valid YAML: {' '.join(str(error).split())}.") from None


def _flat(values: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _literal(value: Any) -> str:
    """A value in the notation that TOML and YAML share."""
    if isinstance(value, float):
        text = repr(value)
        return text if "." in text else text.replace("e", ".0e")  # YAML reads 1e-05 as text
    text = json.dumps("none" if value is None else value, ensure_ascii=False)
    return "".join(char if char.isprintable() else f"\\U{ord(char):08x}" for char in text)

from __future__ import annotations

import pytest

from openrealm.corpus.sources.variants import one_variant


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("一台-{zh-hans:计算机;zh-hant:電腦}-。", "一台计算机。"),
        ("-{zh-hant:電腦; zh-hans:计算机;}-", "计算机"),
        ("-{zh-tw:電腦;zh-hk:电子计算机}-", "電腦"),
        ("-{A|zh-tw:電腦;zh-cn:计算机}-", "计算机"),
        ("-{raw}- -{R|zh-cn:raw}- -{zh-hans;zh-hant|raw}-", "raw zh-cn:raw raw"),
        ("-{T|zh-cn:题;zh-tw:題}--{H|計算機=>zh-cn:计算机;}--{-|zh-cn:题}-", ""),
        ("-{計算機=>zh-cn:计算机;}-", "计算机"),
        ("-{outer -{zh-cn:内;zh-tw:內}-}-", "outer 内"),
        ("-{a; b: c}-", "a; b: c"),
        ("-{sr-ec:река;sr-el:reka}-", "река"),
        ("-{ unclosed", "-{ unclosed"),
    ],
)
def test_one_variant_is_shown(text: str, shown: str) -> None:
    assert one_variant(text) == shown

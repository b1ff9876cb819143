"""What the site makes of the pages: links that lead on, titles, lists."""

import re
import runpy
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def site():
    return SimpleNamespace(**runpy.run_path(str(ROOT / "docs" / "site.py")))


def shown(site, name, text):
    return site.on_page_markdown(text, SimpleNamespace(file=SimpleNamespace(src_uri=name)))


def test_links_lead_to_the_place_of_a_page_in_the_site(site):
    text = "[a](docs/label.md#limits) ![b](docs/demo.png) [c](bundles/bcp_segmentation/docs/README.md) [d](LICENSE)"
    assert shown(site, "index.md", text) == (
        "[a](label.md#limits) ![b](demo.png) [c](methods/bcp_segmentation.md) d (`LICENSE`)\n"
    )
    assert shown(site, "label.md", "[front](../README.md) [x](https://a.b)") == "[front](index.md) [x](https://a.b)\n"
    text = "# Model Overview\n\n![p](../../../docs/methods/bcp.svg) [e](../../../docs/results.md)\n\n# References\n"
    assert shown(site, "methods/bcp_segmentation.md", text) == (
        "# BCP\n\n![p](bcp.svg) [e](../results.md)\n\n## References\n"
    )
    assert shown(site, "interface/tools.api.md", "as it is") == "as it is"


def test_what_belongs_to_an_item_of_a_list_gets_four_spaces(site):
    numbered = "1. one\n   * a\n     b\n2. two\n\n   ```\n   x\n   ```\n3. three\n\n"
    text = numbered + "text\n  as it was\n- p\n\n  q\n```\n- r\n  s\n```\n"
    assert site.indented(text) == (
        "1. one\n    * a\n      b\n2. two\n\n    ```\n    x\n    ```\n\n3. three\n\ntext\n  as it was\n- p\n\n    q\n"
        "```\n- r\n  s\n```\n"
    )


def test_the_navigation_names_every_page_once(site):
    text = re.sub(r"hooks:.*", "", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    config = site.on_config(SimpleNamespace(nav=yaml.safe_load(text)["nav"]))
    named = [page if isinstance(page, str) else next(iter(page.values()))
             for entry in config.nav for part in entry.values()
             for page in ([part] if isinstance(part, str) else part)]  # fmt: skip
    assert len(named) == len(set(named))
    assert {name for name in named if not name.startswith("interface/")} == set(site.places().values())

"""Entry point: ``python -m tools <verb>``; ``python -m tools`` lists the verbs."""

from __future__ import annotations

import fire

from common.errors import one_line_errors

from .demo import demo
from .phantom import phantom
from .report import report
from .results import record, tables
from .run import run

if __name__ == "__main__":
    one_line_errors()
    verbs = {
        "demo": demo,
        "phantom": phantom,
        "record": record,
        "report": report,
        "run": run,
        "tables": tables,
    }
    fire.Fire(verbs, name="python -m tools")

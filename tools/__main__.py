"""Entry point: ``python -m tools <verb>``; ``python -m tools`` lists the verbs."""

from __future__ import annotations

import fire

from common.errors import one_line_errors

from .benchmark import benchmark
from .check import check
from .demo import demo
from .export import export
from .label import label_check
from .package import package
from .phantom import phantom
from .plan import plan
from .prepare import prepare
from .pretrain_sam import pretrain_sam
from .report import report
from .results import record, tables
from .run import run
from .sam_boxes import sam_boxes
from .verify import verify

if __name__ == "__main__":
    one_line_errors()
    verbs = {
        "benchmark": benchmark,
        "check": check,
        "demo": demo,
        "export": export,
        "label_check": label_check,
        "package": package,
        "phantom": phantom,
        "plan": plan,
        "prepare": prepare,
        "pretrain_sam": pretrain_sam,
        "record": record,
        "report": report,
        "run": run,
        "sam_boxes": sam_boxes,
        "tables": tables,
        "verify": verify,
    }
    fire.Fire(verbs, name="python -m tools")

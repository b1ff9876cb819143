"""Inference that goes on with the next case."""

from __future__ import annotations

from collections.abc import Mapping

from monai.engines import SupervisedEvaluator

from ..errors import find_explained, is_full


class CaseByCaseEvaluator(SupervisedEvaluator):
    """MONAI's evaluator, except that a case that fails in the network, behind it or in writing costs that case alone.

    The data set is told which and why, and goes on. One that takes no reports, as in an evaluation, whose figures must
    be of all cases, stops at the first such case; so does a full disk.
    """

    def _iteration(self, engine: SupervisedEvaluator, batchdata: Mapping) -> dict:
        report = getattr(self.data_loader.dataset, "report", None)
        try:
            return super()._iteration(engine, batchdata)
        except Exception as error:  # whatever is wrong with one case, the others have results
            if report is None or is_full(error):
                raise
            report(f"{_name(batchdata)}: {_reason(error)}")
            engine.state.output = {}
            return {}


def _name(batch: Mapping) -> str:
    image = batch.get("image")
    source = getattr(image, "meta", {}).get("filename_or_obj") or batch.get("case", "an image")
    return str(source[0] if isinstance(source, (list, tuple)) else source)


def _reason(error: BaseException) -> str:
    """The words that explain themselves, or the first of the chain of causes, whose followers only wrap it."""
    if (explained := find_explained(error)) is not None:
        return str(explained)
    while error.__cause__ is not None:
        error = error.__cause__
    return f"{type(error).__name__}: {error}"

import pytest

from common.errors import InputError
from tools.run import run


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (["nothing"], {}, "nothing: no such bundle"),
        (["ssnet_segmentation", "la_quik"], {}, "la_quik: no such configuration of ssnet_segmentation"),
        (
            ["ssnet_segmentation"],
            {"labelled": 4},
            "--labelled: no such option in the configuration; did you mean 'labeled'?",
        ),
        (["ssnet_segmentation", "inference"], {"iterations": 4}, "--iterations: no such option"),
    ],
)
def test_a_wrong_name_is_an_error_that_names_it(arguments, options, message):
    with pytest.raises(InputError, match=message.replace("?", r"\?")):
        run(*arguments, **options)

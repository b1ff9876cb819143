"""The page of help: layers and options with their values first and their descriptions behind."""

import re

from common.options.help import help_of, sections
from tools.run import bundle_folder, config_file, layer_names


def page(name):
    root = bundle_folder(name)
    return help_of(root, {layer: config_file(root, layer) for layer in layer_names(root)})


def test_options_stand_with_value_description_and_type():
    lines = page("ssnet_segmentation").splitlines()
    line = next(line for line in lines if line.startswith("  --learning_rate"))
    assert re.match(r"  --learning_rate 0\.01 +at the start \[.*number.*\]", line)
    assert next(line for line in lines if line.startswith("  --checkpoint ")).count("the folder of a run") == 1
    nested = [line for line in lines if line.startswith("  --lds#")]
    assert any(re.match(r"  --lds#divergence dice_per_class +\(paper\)", line) for line in nested)
    assert any(line.startswith(("  --lds#eps as @lds_eps", "  --lds#eps as lds_eps")) for line in nested)
    assert max(map(len, lines)) <= 120
    assert lines.index("Options of train:") < lines.index("Options of inference:") < lines.index("Options of evaluate:")


def test_headings_go_before_their_options():
    root = bundle_folder("meanteacher_segmentation")
    found = {name: heading for heading, name in sections(config_file(root, "train"))}
    assert found["seed"] == "training" and found["patch_size"] == "what the networks see"
    text = page("meanteacher_segmentation")
    assert text.index("-- what the networks see") < text.index("  --patch_size") < text.index("-- Mean Teacher")

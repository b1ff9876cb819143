"""What a trained model must be told about itself: ``settings.json`` beside its weights."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser

from ..errors import InputError
from ..files import atomic_path, read_json
from ..options.context import PLAIN, Configuration, current_configuration
from ..options.entries import is_literal, quoted
from ..options.layers import read_layer
from .components import as_data, build, packages_of, require_parts, targets_of
from .contradictions import FREE, refuse_contradictions
from .record import require_of_run, require_recorded

FILE, FORMAT = "settings.json", 1
WEIGHTS = "model.pt"
COMPONENTS = ("network_def", "preprocessing", "datalist")  # of training that later steps build again
REFERENCE = re.compile(r"@([\w:#]+)")


class Settings(Mapping):
    """The settings a model was trained with.

    As a mapping: the options by name, each plain data. Components of the training that later steps need are kept as
    configurations with plain values in place of references.

    Args:
        options: value of every option of the training, by id.
        components: configuration of each of ``COMPONENTS`` that the training has, by id.
        configuration: the merged configuration files and options as they were written.
        source: what error messages call these settings.
        packages: of the bundle, whose components may be built.
        named: further targets that may be.
    """

    def __init__(
        self,
        options: Mapping[str, Any],
        components: Mapping[str, Mapping],
        configuration: Mapping[str, Any],
        source: str = FILE,
        packages: Sequence[str] = (),
        named: Iterable[str] = (),
    ) -> None:
        self.options, self.components, self.source = dict(options), dict(components), source
        self.configuration, self.packages, self.named = configuration, tuple(packages), frozenset(named)

    def __getitem__(self, name: str) -> Any:
        if name not in self.options:
            raise InputError(f"{self.source}: says nothing of {name}; the weights are of another bundle or version")
        return self.options[name]

    def get(self, name: str, default: Any = None) -> Any:
        return self.options.get(name, default)

    def __contains__(self, name: Any) -> bool:
        return name in self.options

    def __iter__(self) -> Iterator[str]:
        return iter(self.options)

    def __len__(self) -> int:
        return len(self.options)

    def changed(self, options: Mapping[str, Any]) -> Settings:
        """These settings with other values of some options, ``sam#kind`` for nested ones, and the same components."""
        values = json.loads(json.dumps(self.options))
        for name, value in options.items():
            *parents, last = name.split("#")
            node = values
            for parent in parents:
                node = node[parent]
            node[last] = value
        return Settings(values, self.components, self.configuration, self.source, self.packages, self.named)

    def literal(self, name: str, **changes: Any) -> dict:
        """Configuration of a component, with some of its arguments changed."""
        if name not in self.components:
            raise InputError(f"{self.source}: holds no {name}; the weights are of another bundle or version")
        return {**self.components[name], **changes}

    def parts(self, name: str) -> dict:
        """``literal``, if it is made of nothing but parts of models; see ``require_parts``."""
        written = self.literal(name)
        require_parts(written, self.packages, self.named, self.source)
        return written

    def component(self, name: str, **changes: Any) -> Any:
        """The component as training had it, built anew with some of its arguments changed; see ``build``."""
        return build(self.literal(name, **changes), self.packages, self.named, self.source)

    def write(self, folder: str | Path) -> None:
        """Write ``settings.json`` into the folder of the weights."""
        content = {
            "format": FORMAT,
            "options": self.options,
            "components": self.components,
            "configuration": self.configuration,
        }
        with atomic_path(Path(folder) / FILE) as temporary:
            temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, path: str | Path, packages: Sequence[str] = (), named: Iterable[str] = ()) -> Settings:
        """Settings that ``write`` wrote; ``InputError`` naming the file for anything else."""
        require_recorded(Path(path))
        try:
            content = read_json(path, "training writes it beside the weights", dict)
            if content["format"] != FORMAT:
                raise InputError(f"{path}: written by another version (format {content['format']}, expected {FORMAT})")
            options, components, written = (content[key] for key in ("options", "components", "configuration"))
        except KeyError as error:
            raise InputError(f"{path}: not the settings of a training run (no {error})") from None
        parts = [options, components, written, *(components.values() if isinstance(components, dict) else ())]
        if not all(isinstance(part, dict) for part in parts):
            raise InputError(f"{path}: not the settings of a training run (expected mappings from names to values)")
        return cls(options, components, written, str(path), packages, named)

    @classmethod
    def of(cls, configuration: Configuration, source: str = FILE) -> Settings:
        """Settings of a training configuration; nothing but options and arguments of ``COMPONENTS`` is resolved."""
        written = configuration.written("")
        options = {id: configuration.literal(id) for id in options_of(written)}
        components = {id: configuration.literal(id) for id in COMPONENTS if _is_component(written.get(id))}
        configuration_files = {id: part for id, part in written.items() if id != "_meta_"}
        named = [str(component["_target_"]) for component in targets_of(components)]  # files of the user name them
        return cls(options, components, configuration_files, source, named=named)


def options_of(written: Mapping[str, Any], plain: Iterable[str] = ()) -> list[str]:
    """Ids of a configuration's options: entries of plain data, or expressions over nothing but such entries.

    Args:
        written: the configuration.
        plain: further ids that expressions may be over.
    """
    known = dict.fromkeys(plain, True)

    def is_option(id: str) -> bool:
        if id not in known:
            known[id] = False  # whatever refers to itself is none
            known[id] = id in written and all(leaf_is_plain(leaf) for leaf in _leaves(written[id]))
        return known[id]

    def leaf_is_plain(leaf: Any) -> bool:
        if not isinstance(leaf, str) or not leaf.startswith(("@", "$")):
            return isinstance(leaf, PLAIN) and not (isinstance(leaf, str) and leaf.startswith("%"))
        if is_literal(leaf):
            return True
        names = references(leaf)
        return bool(names or "os.environ" in leaf) and all(is_option(_root(name)) for name in names)

    structural = ("imports", "add_path", "initialize", "preflight", "run", "finalize")
    hidden = (*structural, *plain)
    return [id for id in written if id not in hidden and not id.startswith("_") and is_option(id)]


def references(leaf: Any) -> list[str]:
    """Ids that a reference or an expression refers to."""
    return REFERENCE.findall(leaf) if isinstance(leaf, str) and leaf.startswith(("@", "$")) else []


def _root(id: str) -> str:
    return re.split("#|::", id)[0]


def _leaves(node: Any) -> Iterator[Any]:
    """Plain values of nested lists and mappings; a component counts as one value that is none."""
    if isinstance(node, Mapping):
        if "_target_" in node:
            yield node
            return
        for child in node.values():
            yield from _leaves(child)
    elif isinstance(node, (list, tuple)):
        for child in node:
            yield from _leaves(child)
    else:
        yield node


def _is_component(node: Any) -> bool:
    return isinstance(node, Mapping) and "_target_" in node


def load_trained(checkpoint: str | Path, bundle_root: str | Path, layers: Sequence[str] = ()) -> Settings:
    """Settings of the weights that an inference configuration is about, checked against what it says itself.

    * Weights with a ``settings.json`` beside them: those. An entry of the configuration that is written out, instead
      of ``$@trained[...]``, must not contradict them, unless it is ``FREE``.
    * Weights without: what the bundle's ``train`` file and the named layers say, under the entries written out. One
      of both must be given; what is assumed is logged.
    * No weights there: the same of a bundle as it is.

    Args:
        checkpoint: file of the weights, or the folder of the run that holds them.
        bundle_root: folder of the bundle.
        layers: configuration files, in order, that weights without settings were trained with.

    Raises:
        InputError: naming both values of a contradiction, or the weights that say nothing of themselves.
    """
    weights = weights_file(checkpoint)
    given = written_out(current_configuration())
    file = weights.with_name(FILE)
    if file.is_file():
        require_of_run(weights)
        targets = [
            str(component["_target_"]) for layer in layers for component in targets_of(read_layer(layer).content)
        ]
        trained = Settings.read(file, packages_of(bundle_root), targets)
        binding = _as_trained(current_configuration(), trained)
        named = {name: value for name, value in _options_of_files(layers).items() if name.partition("#")[0] in binding}
        refuse_contradictions(trained, {**named, **given}, weights)
        return trained
    trained = assumed(bundle_root, layers, {name: as_data(value) for name, value in given.items()})
    stated = [name for name in given if (id := name.partition("#")[0]) in trained.options and id not in FREE]
    if weights.is_file() and not layers and not stated:
        raise InputError(
            f"{weights}: no {FILE} beside it says how these weights were trained; name the layers they were trained "
            "with (train, if none), or retrain"
        )
    if weights.is_file():
        said = ", ".join(f"{name} {trained.options[name]}" for name in _as_trained(current_configuration(), trained))
        logging.getLogger(__name__).warning(f"{weights}: no {FILE} beside it; taken as trained with {said}")
    return trained


def weights_file(checkpoint: str | Path) -> Path:
    """The file of the weights: ``checkpoint`` itself, or ``model.pt`` in the folder that it names."""
    path = Path(checkpoint)
    return path / WEIGHTS if path.is_dir() or not (path.suffix or path.exists()) else path


def assumed(bundle_root: str | Path, layers: Iterable[str], given: Mapping[str, Any] | None = None) -> Settings:
    """Settings of a bundle's training configuration with some layers, and options as MONAI takes them, on top."""
    configs = Path(bundle_root) / "configs"
    base = next((file for file in (configs / "train.yaml", configs / "train.json") if file.is_file()), None)
    if base is None:
        raise InputError(f"{configs / 'train.yaml'}: no such file; give the folder of the bundle as --bundle_root")
    extra = [str(layer) for layer in layers if Path(layer).resolve() != base.resolve()]
    for layer in extra:
        read_layer(layer)  # which is bounded and says what is wrong
    parser = ConfigParser(ConfigParser.load_config_files([str(base), *extra]))
    parser["bundle_root"] = quoted(str(bundle_root))
    names = options_of(parser.get())
    for name, value in (given or {}).items():
        if name.partition("#")[0] in names:
            parser[name] = value
    return Settings.of(Configuration.of(parser), f"{base.name} of {Path(bundle_root).resolve().name}")


def written_out(configuration: Configuration | None) -> dict[str, Any]:
    """Values of options, ``sam#kind`` for nested ones, that a configuration has instead of ``$@trained[...]``."""
    if configuration is None:
        return {}
    written = configuration.written("")
    own = set(options_of(written))
    given = {
        name: configuration.literal(name)
        for id in options_of(written, plain=("trained",))
        for name, leaf in _named_leaves(id, written[id])
        if all(_root(reference) in own for part in _leaves(leaf) for reference in references(part))
    }
    for id, value in written.items():  # of no other entry: plain data or not, only its value tells
        if isinstance(value, str) and value.startswith("$") and not references(value):
            with suppress(ValueError):
                given[id] = configuration.literal(id)
    return given


def _named_leaves(name: str, node: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(node, Mapping) and "_target_" not in node:
        for key, child in node.items():
            yield from _named_leaves(f"{name}#{key}", child)
    else:
        yield name, node


def _as_trained(configuration: Configuration | None, trained: Settings) -> list[str]:
    written = configuration.written("") if configuration is not None else {}
    return [id for id in written if id in trained.options and id not in FREE]


def _options_of_files(layers: Iterable[str]) -> dict[str, Any]:
    content = {id: value for layer in layers for id, value in read_layer(layer).content.items()}
    parser = ConfigParser(content)
    plain = [id for id in options_of(content) if not any("@" in str(leaf) for leaf in _leaves(content[id]))]
    return {id: Configuration.of(parser).literal(id) for id in plain if not id.startswith(("+", "train", "validate"))}

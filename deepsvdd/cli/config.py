"""The settings of a training run: where each comes from, and config.json."""

from __future__ import annotations

import json
import secrets
from dataclasses import fields
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from deepsvdd.core.recipes import (
    Phase,
    Recipe,
    get_recipe,
)
from deepsvdd.files import write_text

# Options of one training phase (with the prefix ae_: pretraining) and their fields.
# An option that is repeated for several values is named in the singular.
PHASE_FIELDS = {
    field.name.replace("milestones", "milestone"): field.name for field in fields(Phase)
}
# JSON's types of an option's values; a whole number will do for a float.
JSON_KINDS: dict[type, tuple[type, ...]] = {
    type(click.BOOL): (bool,),
    type(click.INT): (int,),
    click.IntRange: (int,),
    type(click.FLOAT): (float, int),
    type(click.STRING): (str, int),  # the authors' normal_class is a number
}
NO_DEFAULT = ("recipe", "data_path", "load_config", "load_model")
Settings = dict[str, Any]


def resolve_settings(ctx: click.Context) -> Settings:
    """Merge what settings come from: option > --recipe > --load_config > default."""
    from_file = read_config(ctx, ctx.params["load_config"])
    from_recipe: Settings = {}
    if ctx.params["recipe"]:
        network = ctx.params["net_name"]
        from_recipe = recipe_settings(get_recipe(ctx.params["recipe"], network))
    settings = dict(ctx.params)
    for name in settings:
        if ctx.get_parameter_source(name) == ParameterSource.DEFAULT:
            settings[name] = from_recipe.get(name, from_file.get(name, settings[name]))
    given = ctx.get_parameter_source("pretrain") != ParameterSource.DEFAULT
    restored = "pretrain" in from_file and from_file.get("load_model")
    if settings["load_model"] and not (given or restored):
        settings["pretrain"] = False
    if settings["seed"] == -1:
        settings["seed"] = interrupted_seed(settings)
    return settings


def checkpoint_folder(settings: Settings) -> Path:
    """Where a run keeps its checkpoints until it is done."""
    folder: Path = settings["xp_path"]
    return folder / "checkpoints"


def interrupted_seed(settings: Settings) -> int:
    """Draw a seed, or find the one that a run to be resumed has drawn."""
    if settings["checkpoint_every"] and checkpoint_folder(settings).exists():
        config = json.loads((settings["xp_path"] / "config.json").read_text())
        return int(config["seed"])
    return secrets.randbelow(2**31)


def recipe_settings(recipe: Recipe) -> Settings:
    """Express a recipe in options."""
    phases = {"": recipe.training, "ae_": recipe.pretraining}
    return {
        "warm_up_epochs": recipe.warm_up_epochs,
        "radius_every": recipe.radius_every,
        "first_layer": recipe.first_layer,
        **{
            prefix + name: getattr(phase, field)
            for prefix, phase in phases.items()
            for name, field in PHASE_FIELDS.items()
        },
    }


def recipe_of(settings: Settings) -> Recipe:
    """Build the recipe that options describe."""

    def phase(prefix: str) -> Phase:
        values = {f: settings[prefix + name] for name, f in PHASE_FIELDS.items()}
        values["lr_milestones"] = tuple(values["lr_milestones"])
        try:
            return Phase(**values)
        except ValueError as error:  # starts with the field's name
            raise ValueError(f"{prefix}{error}") from None

    return Recipe(
        pretraining=phase("ae_"),
        training=phase(""),
        warm_up_epochs=settings["warm_up_epochs"],
        radius_every=settings["radius_every"],
        first_layer=settings["first_layer"],
    )


def read_config(ctx: click.Context, path: Path | None) -> Settings:
    """Read a config.json, ours or the authors', and check every value in it."""
    if path is None:
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"load_config {str(path)!r} is not JSON: {error}") from None
    if not isinstance(content, dict):
        raise ValueError(f"load_config {str(path)!r} must hold a JSON object")
    parameters = {parameter.name: parameter for parameter in ctx.command.params}
    unknown = sorted(set(content) - set(parameters))
    if unknown:
        raise ValueError(f"load_config {str(path)!r} has unknown settings: {unknown}")
    content.pop("recipe", None)  # its values stand in the file one by one
    return {
        name: json_value(ctx, parameters[name], value)
        for name, value in content.items()
    }


def json_value(ctx: click.Context, parameter: click.Parameter, value: object) -> object:
    """Check one value of a config file as click checks the same option's text."""
    if value is None and parameter.name in NO_DEFAULT:
        return None
    kinds = JSON_KINDS.get(type(parameter.type), (str,))
    values = value if parameter.multiple and isinstance(value, list) else [value]
    if not all(type(v) in kinds for v in values):  # True is no whole number
        raise click.BadParameter(f"load_config has {value!r}", ctx=ctx, param=parameter)
    return parameter.type_cast_value(ctx, value)


def class_list(text: str) -> list[int | str]:
    """Read ``3``, ``cat`` or ``3,5``."""
    parts = [part.strip() for part in str(text).split(",")]
    return [
        int(part) if part.removeprefix("-").isdecimal() else part
        for part in parts
        if part
    ]


def printable(settings: Settings) -> Settings:
    """Make settings fit for JSON: paths as text, and without load_config itself."""
    return {
        name: str(value) if isinstance(value, Path) else value
        for name, value in settings.items()
        if name != "load_config"
    }


def write_json(path: Path, content: Settings) -> None:
    """Write a JSON file whole or not at all."""
    write_text(path, json.dumps(content, indent=1) + "\n")

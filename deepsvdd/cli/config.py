"""The settings of a training run: where each comes from, and config.json."""

from __future__ import annotations

import json
import reprlib
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
from deepsvdd.reproduction.schema import MAX_SEED

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
LARGEST = {"n_members": 1000, "seed": MAX_SEED}
LARGEST_OTHER = 10**9  # of the other whole numbers
LONGEST = 4096  # characters of a text in a config file, which may be a path
# What may change between an interrupted run and the one that goes on from it.
FREE = {"xp_path", "data_path", "load_model", "device", "checkpoint_every", "recipe"}
FREE |= {"n_jobs_dataloader"}
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
    refuse_huge(settings)
    if is_interrupted(settings):
        go_on(settings)
    elif settings["seed"] == -1:
        settings["seed"] = secrets.randbelow(2**31)
    return settings


def refuse_huge(settings: Settings) -> None:
    """Raise ValueError if a whole number would take forever, or fit no computer."""
    for name, value in settings.items():
        largest = LARGEST.get(name, LARGEST_OTHER)
        numbers = value if isinstance(value, list | tuple) else [value]
        for number in numbers:
            if isinstance(number, int) and number > largest:
                raise ValueError(
                    f"{name} must be at most {largest:,}; got {reprlib.repr(number)}"
                )


# --- runs that were interrupted ----------------------------------------------------


def checkpoint_folder(settings: Settings) -> Path:
    """Where a run keeps its checkpoints until it is done."""
    folder: Path = settings["xp_path"]
    return folder / "checkpoints"


def is_interrupted(settings: Settings) -> bool:
    """Tell whether the run's folder holds checkpoints of one that did not end."""
    return any(checkpoint_folder(settings).glob("*.pt"))


def go_on(settings: Settings) -> None:
    """Take the seed that an interrupted run has drawn; refuse other settings than its.

    Raises
    ------
    ValueError
        If a setting is another, so that the checkpoints are of no use, or if nothing
        tells the seed.
    """
    folder, path = checkpoint_folder(settings), settings["xp_path"] / "config.json"
    stored = stored_settings(path)
    fresh = f"delete '{folder}' to start afresh"
    if settings["seed"] == -1:
        if not stored:
            raise ValueError(
                f"seed must be given, as '{path}' does not tell the one of the run "
                f"that was interrupted, but the names in '{folder}' do; or {fresh}"
            )
        settings["seed"] = stored["seed"]
    ours: Settings = json.loads(json.dumps(printable(settings)))
    for name in sorted((ours.keys() & stored.keys()) - FREE):
        if ours[name] != stored[name]:
            raise ValueError(
                f"{name} must be {reprlib.repr(stored[name])}, as in the run that was "
                f"interrupted in '{settings['xp_path']}'; got "
                f"{reprlib.repr(ours[name])}: use --load_config '{path}', or {fresh}"
            )
    if not settings["checkpoint_every"]:
        raise ValueError(
            f"checkpoint_every must be 1 or more to go on with the run that was "
            f"interrupted in '{settings['xp_path']}'; or {fresh}"
        )


def stored_settings(path: Path) -> Settings:
    """Read a run's config.json; of one that is missing or tells no seed, nothing."""
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    seed = content.get("seed") if isinstance(content, dict) else None
    return content if type(seed) is int and 0 <= seed <= MAX_SEED else {}


# --- recipes, config files ---------------------------------------------------------


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
        content = json.loads(path.read_bytes())  # UTF-8 or UTF-16, by its first bytes
    except (ValueError, RecursionError) as error:
        reason = (
            "it is nested too deeply" if isinstance(error, RecursionError) else error
        )
        raise ValueError(f"load_config {str(path)!r} is not JSON: {reason}") from None
    if not isinstance(content, dict):
        raise ValueError(f"load_config {str(path)!r} must hold a JSON object")
    parameters = {parameter.name: parameter for parameter in ctx.command.params}
    unknown = sorted(set(content) - set(parameters))
    if unknown:
        raise ValueError(
            f"load_config {str(path)!r} has unknown settings: {reprlib.repr(unknown)}"
        )
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
    if not all(
        type(v) in kinds and len(str(v)) <= LONGEST  # True is no whole number
        for v in values
    ):
        message = f"load_config has {reprlib.repr(value)}"
        raise click.BadParameter(message, ctx=ctx, param=parameter)
    return parameter.type_cast_value(ctx, value)


def class_list(text: str) -> list[int | str]:
    """Read ``3``, ``cat`` or ``3,5``."""
    parts = [part.strip() for part in str(text).split(",")]
    if longest := next((part for part in parts if len(part) > 100), ""):
        raise ValueError(
            "normal_class must be numbers or names of classes; got "
            f"{reprlib.repr(longest)}, of {len(longest)} characters"
        )
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

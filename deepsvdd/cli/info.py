"""``deepsvdd info``: what is in a model file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from deepsvdd.core.model_schema import TRAINED_ON
from deepsvdd.successors.saved import model_contents


@click.command(name="info", short_help="Show what a model file holds.")
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="All metadata, with histories.")
def command(model: Path, as_json: bool) -> None:
    """Show network, objective, threshold, calibration, settings and versions.

    \b
    deepsvdd info runs/a/model.safetensors
    deepsvdd info runs/a/model.safetensors --json | jq .versions
    """
    tensors, metadata = model_contents(model)
    if as_json:
        click.echo(json.dumps(metadata, indent=1))
        return
    parameters, members = metadata["parameters"], metadata["members"]
    weights = sum(t.numel() for n, t in tensors.items() if n.endswith(".weight"))
    low, high = tensors["preprocessor.minimum"], tensors["preprocessor.maximum"]
    rows = {
        "estimator": metadata["estimator"],
        "network": f"{parameters['network']}, {weights // len(members):,} weights",
        "input": f"{tuple(metadata['input_shape'])}, {metadata['preprocessing']}",
        "extrema": f"{low.min().item():.6g} to {high.max().item():.6g}",
        "objective": objective_of(metadata),
        "members": str(len(members)),
        "radius": ", ".join(f"{member['radius']:.6g}" for member in members),
        "threshold": f"{metadata['threshold']:.6g}",
        "collapsed": "yes" if any(m.get("collapsed") for m in members) else "no",
    }
    if counts := metadata.get("labels"):
        rows["labels"] = ", ".join(f"{n:,} {name}" for name, n in counts.items())
    if TRAINED_ON in tensors:
        rows["trained on"] = f"{len(tensors[TRAINED_ON]):,} samples"
    n = metadata.get("n_calibration", 0)
    smallest = f"{n:,} samples, smallest p-value {1 / (n + 1):.3g}"
    rows["calibration"] = smallest if n else "none"
    for phase in ("pretraining", "training"):
        settings = parameters["recipe"][phase]
        rows[phase] = ", ".join(f"{name} {value}" for name, value in settings.items())
        if not settings["n_epochs"]:
            rows[phase] = "none"
    if not parameters.get("pretrain", False):
        rows["pretraining"] = "none"
    rows["seed"] = str(parameters["random_state"])
    rows["versions"] = ", ".join(f"{k} {v}" for k, v in metadata["versions"].items())
    for name, text in rows.items():
        click.echo(f"{name:<12} {text}")


def objective_of(metadata: dict[str, Any]) -> str:
    """Write an estimator's objective with its settings."""
    kind, parameters = metadata["estimator"], metadata["parameters"]
    for name in ("outliers", "transformations"):
        if name in parameters:
            return f"{kind}, {name}: {parameters[name]}"
    if "n_neighbors" in parameters:
        return f"{kind}, {parameters['criterion']}: nothing was trained"
    if "gamma" in parameters:
        r, how = metadata["measured"]["radius_"], parameters["radius"]
        rule = " (auto)" if how == "auto" else ""
        return (
            f"{kind}, r = {r:.6g}{rule}, γ = {parameters['gamma']}, "
            f"μ = {parameters['mu']}, {parameters['n_steps']} steps"
        )
    if "eta" in parameters:
        return f"Deep SAD, η = {parameters['eta']}, ε = {parameters['eps']}"
    return f"{parameters['objective']}, ν = {parameters['nu']}"

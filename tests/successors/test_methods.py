"""The names of the later methods agree wherever they stand."""

import deepsvdd
from deepsvdd.core.model_schema import KINDS
from deepsvdd.core.recipes import LATER, RECIPES
from deepsvdd.reproduction.later import kind_of_method, later_method
from deepsvdd.successors.base import RECIPES as OWN
from deepsvdd.successors.methods import CLASSES, METHODS
from deepsvdd.successors.saved import CLASSES as LOADED
from tests.successors import conftest


def test_the_core_knows_them_by_the_names_of_their_classes():
    assert tuple(cls.kind for cls in CLASSES) == LATER
    assert all(getattr(deepsvdd, cls.kind) is cls for cls in CLASSES)


def test_model_files_of_all_can_be_loaded():
    assert tuple(LOADED) == KINDS
    assert all(cls.kind == name for name, cls in LOADED.items())


def test_every_method_has_a_class_with_recipes():
    for cls, parameters in METHODS.values():
        assert cls in CLASSES
        cls(**parameters).check_parameters()
        for recipe in OWN:
            assert {cls.kind, f"{cls.kind} of vectors"} <= RECIPES[recipe].keys()


def test_sweeps_know_every_method():
    for name, (cls, _) in METHODS.items():
        text = "hsc:mnist" if name == "hsc" else name
        assert later_method(text) is not None
        assert kind_of_method(text) == cls.kind


def test_these_tests_try_all_of_them():
    assert set(conftest.METHODS.values()) >= {cls for cls, _ in METHODS.values()}

"""Small detectors, trained for an epoch, once for each file that looks at them."""

import pytest

from tests.toys import Tiny, make_images, make_vectors, short


@pytest.fixture(scope="module")
def images():
    return make_images()


@pytest.fixture(scope="module")
def vectors():
    return make_vectors()


@pytest.fixture(scope="module")
def on_images(images, one_thread):
    return short().fit(images)


@pytest.fixture(scope="module")
def on_vectors(vectors, one_thread):
    return short().fit(vectors)


@pytest.fixture(scope="module")
def soft(images, one_thread):
    return short(objective="soft-boundary").fit(images)


@pytest.fixture(scope="module")
def ensemble(images, one_thread):
    return short(n_members=3).fit(images)


@pytest.fixture(scope="module")
def model(tmp_path_factory, one_thread):
    """The path of a small model file, its bytes, and the detector."""
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    detector = short(network=Tiny(), pretrain=False).fit(make_images())
    detector.save(path)
    return path, path.read_bytes(), detector

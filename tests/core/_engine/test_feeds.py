"""Samples from memory and from a stream: the same batches, and clear errors."""

import pickle

import numpy as np
import pytest
import torch
from joblib import Parallel, delayed, parallel_config
from PIL import Image
from sklearn.ensemble import BaggingRegressor
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from torch.utils.data import Dataset, IterableDataset, TensorDataset

from deepsvdd import DeepSVDD, ImageArray, ImageFolder, Phase, Preprocessor, Recipe
from deepsvdd.core._engine.feeds import InMemory, Stream, as_images, read_images
from tests.toys import STILL, Streamed, make_images

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = torch.device("cpu")
EPOCH = Phase(lr=1e-3, n_epochs=1, batch_size=50)
RECIPE = Recipe(EPOCH, EPOCH, warm_up_epochs=0, radius_every=1)


@pytest.fixture(scope="module")
def digits(threes):
    return threes.x_train[:130]


@pytest.fixture(scope="module")
def mapped(digits, tmp_path_factory):
    """The digits as a memory-mapped array."""
    path = tmp_path_factory.mktemp("mapped") / "x.npy"
    np.save(path, digits)
    return np.load(path, mmap_mode="r")


@pytest.fixture(scope="module")
def folder(digits, tmp_path_factory):
    """The digits as files, in subfolders."""
    root = tmp_path_factory.mktemp("folder")
    for index, image in enumerate(digits):
        path = root / f"part{index // 50}" / f"{index:04}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(image[0]).save(path)
    (root / "notes.txt").write_text("no image")
    return root


def fitted(x, **parameters):
    settings = {"recipe": RECIPE, "objective": "soft-boundary", "random_state": 0}
    return DeepSVDD(**(settings | parameters)).fit(x)


@pytest.mark.parametrize("n_workers", [0, 2])
def test_a_stream_yields_the_batches_of_memory(digits, mapped, n_workers):
    preprocessor = Preprocessor.fit(torch.from_numpy(digits.copy()), "gcn_l1")
    memory = InMemory(preprocessor(torch.from_numpy(digits.copy())))
    stream = Stream(ImageArray(mapped), (1, 28, 28), preprocessor, CPU, n_workers)
    assert len(stream) == len(memory) == 130
    order = torch.randperm(130)
    for _ in range(2):  # workers stay for the next epoch
        pairs = zip(stream.read(order.split(40)), memory.read(order.split(40)))  # noqa: B905
        for ours, expected in pairs:
            torch.testing.assert_close(ours, expected)
    ours = torch.cat(list(stream.in_order(60)))
    torch.testing.assert_close(ours, torch.cat(list(memory.in_order(60))))


def test_batches_arrive_in_the_order_of_their_indices(mapped):
    stream = Stream(ImageArray(mapped), (1, 28, 28), None, CPU, 2)
    parts = torch.arange(130).flip(0).split(7)
    for part, batch in zip(parts, stream.read(parts), strict=True):
        np.testing.assert_array_equal(batch.numpy(), mapped[part.numpy()])


VIEWS = {
    "whole": lambda x: x,
    "slice": lambda x: x[17:90],
    "backwards": lambda x: x[::-2],
    "channels last": lambda x: x[5:].transpose(0, 2, 3, 1),
    "chosen": lambda x: x[[3, 1]],  # a copy
}


@pytest.mark.parametrize("view", VIEWS)
def test_a_memory_map_goes_to_other_processes_by_its_place(view, mapped):
    images = ImageArray(VIEWS[view](mapped))
    message = pickle.dumps(images)
    assert len(message) < (1000 if view != "chosen" else 5000)
    received = pickle.loads(message)
    np.testing.assert_array_equal(received.array, images.array)
    assert received.array.dtype == images.array.dtype
    assert len(received) == len(images)


def test_the_place_is_right_beyond_the_first_page(tmp_path):
    numbers = np.arange(40_000, dtype=">f8").reshape(100, 20, 20)
    (tmp_path / "x.raw").write_bytes(bytes(13) + numbers.tobytes())
    mapped = np.memmap(tmp_path / "x.raw", ">f8", "r+", 13 + 8 * 8000, (80, 20, 20))
    received = pickle.loads(pickle.dumps(ImageArray(mapped[3:]))).array
    np.testing.assert_array_equal(received, numbers[23:])
    assert not received.flags.writeable


def test_what_is_in_memory_only_goes_by_its_values(digits, mapped):
    private = np.load(mapped.filename, mmap_mode="c")
    private[4] = 7  # not in the file
    for array in (private, digits):
        received = pickle.loads(pickle.dumps(ImageArray(array))).array
        np.testing.assert_array_equal(received, array)


class Plain(Dataset):
    """What torchvision's data sets look like: one image and a label at a time."""

    def __init__(self, images):
        self.images = images

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        return torch.from_numpy(self.images[index].copy()), 7


class Watched(Streamed):
    """Knows which images this process has read."""

    def __init__(self, images):
        super().__init__(images)
        self.read = set()

    def __getitem__(self, index):
        self.read.add(index)
        return super().__getitem__(index)


def test_one_batch_is_read_without_another_process(digits):
    """Scoring one image need not wait for one to start."""
    few, many = Watched(digits[:3]), Watched(digits[[0] * 600])
    detector = fitted(digits, n_workers=2)
    detector.anomaly_score(few)
    assert few.read == {0, 1, 2}
    detector.anomaly_score(many)
    assert many.read == {0}  # looked at before


@pytest.mark.parametrize("kind", ["array", "folder", "torch"])
def test_fitting_a_stream_is_fitting_the_array(kind, digits, mapped, folder):
    sources = {
        "array": lambda: ImageArray(mapped),
        "folder": lambda: ImageFolder(folder, 28, grey=True),
        "torch": lambda: Plain(digits),
    }
    expected = fitted(digits)
    streamed = fitted(sources[kind](), n_workers=1)
    assert streamed.input_shape_ == (1, 28, 28)
    np.testing.assert_allclose(
        streamed.anomaly_score(digits), expected.anomaly_score(digits), rtol=1e-4
    )
    assert streamed.threshold_ == pytest.approx(expected.threshold_, rel=1e-4)
    np.testing.assert_allclose(
        streamed.anomaly_score(sources[kind]()),
        streamed.anomaly_score(digits),
        rtol=1e-5,
        atol=1e-6,
    )
    images = ImageArray(mapped)
    assert (streamed.predict(images) == streamed.predict(digits)).all()
    assert streamed.represent(images).shape == (130, 32)


def test_memory_mapped_vectors_are_read_as_any_array(tmp_path):
    np.save(tmp_path / "v.npy", np.random.default_rng(0).normal(size=(60, 5)))
    vectors = np.load(tmp_path / "v.npy", mmap_mode="r")
    assert as_images(vectors) is None
    assert fitted(vectors).network_ == "mlp_BN"


def test_one_colour_image_of_a_memory_mapped_array(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (40, 3, 32, 32), np.uint8)
    np.save(tmp_path / "x.npy", images)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    detector = fitted(ImageArray(mapped), n_workers=0)
    score = detector.anomaly_score(mapped[7])
    np.testing.assert_array_equal(score, detector.anomaly_score(images[7]))
    assert score.shape == (1,)


def test_a_memory_map_is_streamed_where_it_is_large(mapped, monkeypatch):
    """By its size alone: libraries hand over plain arrays as memory maps."""
    assert as_images(mapped) is None
    monkeypatch.setattr("deepsvdd.core._engine.feeds.IN_MEMORY", mapped.size - 1)
    assert isinstance(as_images(mapped), ImageArray)
    assert as_images(np.asarray(mapped)) is None
    assert as_images(mapped[:129]) is None
    assert as_images(mapped.reshape(130, -1)) is None  # vectors


def test_what_is_too_large_to_hold_is_not_held(tmp_path):
    """The file is sparse: 3 GiB are on no disk, and get into no memory."""
    path = tmp_path / "large.npy"
    np.lib.format.open_memmap(path, "w+", np.uint8, (2**20, 56, 56)).flush()
    assert isinstance(as_images(np.load(path, mmap_mode="r")), ImageArray)


def test_a_folder_is_read_in_the_order_of_names_and_resized(folder, digits):
    images = ImageFolder(folder, 28, grey=True)
    assert len(images) == 130
    np.testing.assert_array_equal(images[57], digits[57])
    assert ImageFolder(folder, (20, 30))[0].shape == (3, 20, 30)


def test_an_interrupted_stream_resumes_to_the_same_bits(mapped, tmp_path):
    images = ImageArray(mapped)
    expected = fitted(images, n_workers=1)
    two = Recipe(EPOCH, Phase(lr=1e-3, n_epochs=2, batch_size=50), 0, 1)
    settings = {"checkpoint_dir": tmp_path, "checkpoint_every": 1, "n_workers": 1}
    fitted(images, **settings)
    again = fitted(images, **settings)  # both phases come from their checkpoints
    np.testing.assert_array_equal(
        again.anomaly_score(mapped), expected.anomaly_score(mapped)
    )
    with pytest.raises(ValueError, match="other settings, data or versions"):
        fitted(images, **settings | {"recipe": two})


# Parallel use -----------------------------------------------------------------------

# joblib hands arrays of more than a megabyte to processes as memory maps.
BACKENDS = ("loky", "multiprocessing", "threading")
LARGE = 1600  # images of 28 × 28: 1.2 MB


def scored(x, seed):
    """What a worker does: train for a moment, and score."""
    return DeepSVDD(recipe=STILL, random_state=seed, pretrain=False).fit(x).threshold_


@pytest.fixture(scope="module")
def large(threes):
    return np.ascontiguousarray(threes.x_train[:LARGE])


@pytest.mark.parametrize("backend", BACKENDS)
def test_joblib_fits_many_images_as_it_likes(backend, large):
    work = (delayed(scored)(large, seed) for seed in (0, 1))
    thresholds = Parallel(n_jobs=2, backend=backend)(work)
    assert thresholds == [scored(large, seed) for seed in (0, 1)]


@pytest.mark.parametrize("backend", BACKENDS)
def test_joblib_scores_many_images_as_it_likes(backend, large):
    detector = DeepSVDD(recipe=STILL, random_state=0, pretrain=False).fit(large)
    work = (delayed(detector.anomaly_score)(large) for _ in range(2))
    for scores in Parallel(n_jobs=2, backend=backend)(work):
        np.testing.assert_array_equal(scores, detector.anomaly_score(large))


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_stream_is_read_by_the_worker_itself(backend, mapped):
    images = ImageArray(mapped)  # reads in two processes, where it may
    work = (delayed(scored)(images, seed) for seed in (0, 1))
    thresholds = Parallel(n_jobs=2, backend=backend)(work)
    assert thresholds == pytest.approx([scored(images, seed) for seed in (0, 1)])


def squares(rows):
    return rows.reshape(-1, 28, 28)


def spread(detector, x, y=None):  # here, where other processes find it
    return -detector.anomaly_score(x).std()


@pytest.mark.parametrize("backend", BACKENDS)
def test_grid_search_cross_validation_and_bagging_of_images(backend, large):
    rows, labels = large.reshape(LARGE, -1), np.zeros(LARGE, int)
    detector = DeepSVDD(recipe=STILL, random_state=0, pretrain=False)
    with parallel_config(backend, n_jobs=2):
        scores = cross_val_score(detector, large, cv=2, scoring=spread)
        grid = {"nu": [0.1, 0.2]}
        search = GridSearchCV(detector, grid, cv=2, scoring=spread).fit(large)
        # Bagging takes rows only.
        pictures = make_pipeline(FunctionTransformer(squares), detector)
        bag = BaggingRegressor(pictures, 2, random_state=0).fit(rows, labels)
    assert np.isfinite(scores).all()
    assert search.best_estimator_.predict(large[:5]).shape == (5,)
    assert set(bag.predict(rows[:9])) <= {-1, 0, 1}


def test_a_checkpoint_of_another_stream_is_refused(digits, tmp_path):
    """One pixel of one image is another, or two images have changed places."""
    settings = {"checkpoint_dir": tmp_path / "c", "n_workers": 0}
    fitted(ImageArray(digits), **settings)
    fitted(ImageArray(digits.copy()), **settings)
    pixel, order = digits.copy(), digits.copy()
    pixel[101, 0, 14, 14] ^= 1
    order[[3, 4]] = order[[4, 3]]
    for other in (pixel, order):
        with pytest.raises(ValueError, match="other settings, data or versions"):
            fitted(ImageArray(other), **settings)


# Errors ------------------------------------------------------------------------------


def test_a_folder_without_images(tmp_path):
    with pytest.raises(ValueError, match=r"no image files \(\.bmp"):
        ImageFolder(tmp_path, 28)


@pytest.mark.parametrize("size", [0, (28,), (28, 0), 2.5, "28"])
def test_a_size_that_is_none(folder, size):
    with pytest.raises(ValueError, match="size must be a positive whole number"):
        ImageFolder(folder, size)


@pytest.mark.parametrize("n_workers", [0, 1])
def test_a_broken_file_is_named_without_a_traceback(folder, tmp_path, n_workers):
    for path in sorted(folder.rglob("*.png"))[:30]:
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "0020.png").write_bytes(b"no image at all")
    with pytest.raises(ValueError, match=r"unreadable image, '.*0020\.png'") as error:
        fitted(ImageFolder(tmp_path, 28, grey=True), n_workers=n_workers)
    assert "Traceback" not in str(error.value)


def test_images_of_several_shapes():
    images = [np.zeros((28, 28)), np.zeros((28, 27))]
    with pytest.raises(ValueError, match=r"\(28, 28\) at index 4 and \(28, 27\) at"):
        read_images(dict(enumerate(images, start=4)), [4, 5])


def test_images_that_change_their_shape_later(mapped):
    detector = fitted(mapped)
    with pytest.raises(ValueError, match=r"images of shape \(1, 28, 28\), as in fit"):
        detector.anomaly_score(Plain(np.zeros((3, 1, 14, 14), np.uint8)))


@pytest.mark.parametrize("as_item", [torch.Tensor.bfloat16, torch.clone])
def test_tensors_that_numpy_refuses(digits, as_item):
    x = torch.from_numpy(digits[:4] / 255).float().requires_grad_()
    items = [(as_item(image), 0) for image in x]
    expected = torch.stack([item.detach().float() for item, _ in items])
    torch.testing.assert_close(read_images(items, [0, 1, 2, 3]), expected)


def test_only_the_batch_of_an_unusable_number_is_counted(digits):
    images = digits.astype(np.float32)
    images[[2, 70], 0, 3, 3] = np.nan
    with pytest.raises(ValueError, match="and 1 such values in the 50 images read"):
        read_images(Plain(images), range(50))


@pytest.mark.parametrize("value", [np.nan, np.inf, 3e38, -2e15])
def test_an_unusable_number_in_a_stream_is_named_by_its_image(digits, value):
    images = digits.astype(np.float32)
    images[100, 0, 3, 3] = value
    message = r"finite numbers from -1e15 to 1e15; got .* at index \(100, 0, 3, 3\)"
    with pytest.raises(ValueError, match=message):
        read_images(Plain(images), range(60, 130))
    with pytest.raises(ValueError, match=message):
        fitted(Plain(images))


@pytest.mark.parametrize("method", ["gcn_l1", "gcn_l2", "minmax"])
def test_the_largest_numbers_do_not_overflow(digits, method):
    x = torch.tensor(digits[:3]).tile(1, 3, 36, 36) / 127.5 - 1  # a megapixel
    expected, ours = (Preprocessor.fit(x, method)(x) for x in (x, x * 1e15))
    torch.testing.assert_close(ours, expected)


def test_too_few_images(mapped):
    with pytest.raises(ValueError, match="at least 2 images; got 1"):
        fitted(Plain(np.zeros((1, 1, 28, 28), np.uint8)))


def test_a_data_set_without_indices():
    class Endless(IterableDataset):
        def __iter__(self):
            yield torch.zeros(1, 28, 28)

    with pytest.raises(ValueError, match="length and indices; got Endless"):
        fitted(Endless())


def test_constant_images_in_a_stream():
    with pytest.raises(ValueError, match="got 60 constant samples"):
        fitted(Plain(np.full((60, 1, 28, 28), 9, np.uint8)))


class Vectors(Dataset):
    def __len__(self):
        return 10

    def __getitem__(self, index):
        return torch.full((5,), float(index))


def test_a_data_set_of_vectors():
    with pytest.raises(
        ValueError, match=r"images where .*shape \(5,\).*array \(n, d\)"
    ):
        fitted(Vectors())
    x = torch.rand(10, 5)
    scores = fitted(TensorDataset(x)).anomaly_score(TensorDataset(x))
    np.testing.assert_array_equal(scores, fitted(x).anomaly_score(x))


@pytest.mark.parametrize("stacked", [False, True])
def test_of_large_images_fewer_come_at_a_time(stacked):
    images = torch.zeros(70, 1, 130, 130)  # 60 have the pixels of 250 of 64×64
    if stacked:
        feed = InMemory(images[None], stacked=True)
        assert [batch.shape[1] for batch in feed.in_order(250)] == [60, 10]
        return
    assert [len(batch) for batch in InMemory(images).in_order(250)] == [60, 10]
    stream = Stream(
        ImageArray(images.numpy()), (1, 130, 130), None, torch.device("cpu"), 0
    )
    assert [len(batch) for batch in stream.in_order(5000)] == [60, 10]


# ----------------------------------------------------------------------- some of a feed


@pytest.mark.parametrize("stacked", [False, True])
def test_a_subset_in_memory(stacked):
    x = torch.rand(2, 9, 4) if stacked else torch.rand(9, 4)
    rows = torch.tensor([7, 0, 3])
    some = InMemory(x, stacked).subset(rows)
    assert len(some) == 3
    assert some.n_stacked == (2 if stacked else 0)
    assert torch.equal(some.x, x[..., rows, :])


def test_a_subset_of_a_stream():
    images = make_images(9)
    stream = Stream(ImageArray(images), (1, 12, 12), None, torch.device("cpu"), 0)
    some = stream.subset(torch.tensor([7, 0, 3]))
    assert len(some) == 3
    (batch,) = some.read([torch.tensor([2, 0])])
    np.testing.assert_array_equal(batch[:, 0].numpy(), images[[3, 7]])

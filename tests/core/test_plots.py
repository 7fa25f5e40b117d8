"""Plots draw what they are given, where they are told, and leave no trace."""

import matplotlib as mpl
import numpy as np
import pytest
import torch

mpl.use("Agg")

from matplotlib import pyplot as plt
from matplotlib.colors import to_rgb

from deepsvdd import plots

RNG = np.random.default_rng(0)
LABELS = np.repeat([0, 1], [50, 250])
SCORES = 0.01 * RNG.chisquare(8, 300) * (1 + 2 * LABELS)
REPRESENTATIONS = RNG.normal(size=(300, 5)) * [1, 3, 1, 1, 2]
HISTORY = {
    "epoch": [0, 1, 2],
    "loss": [1.0, 0.1, 0.01],
    "learning_rate": [1e-4, 1e-4, 1e-5],
}
PLOTS = {
    "image_grid": lambda ax: plots.image_grid(np.zeros((3, 4, 4)), ax=ax, title="t"),
    "roc_curve": lambda ax: plots.roc_curve(LABELS, SCORES, ax=ax),
    "pr_curve": lambda ax: plots.pr_curve(LABELS, SCORES, ax=ax),
    "score_histogram": lambda ax: plots.score_histogram(LABELS, SCORES, ax=ax),
    "learning_curves": lambda ax: plots.learning_curves(HISTORY, ax=ax),
    "representation_projection": lambda ax: plots.representation_projection(
        REPRESENTATIONS, LABELS, center=np.zeros(5), ax=ax
    ),
}


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def contrast(color, background):
    """WCAG 2 contrast ratio of two colors."""

    def luminance(c):
        c = np.array(to_rgb(c))
        linear = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
        return linear @ [0.2126, 0.7152, 0.0722] + 0.05

    ratio = luminance(color) / luminance(background)
    return max(ratio, 1 / ratio)


@pytest.mark.parametrize("draw", PLOTS.values(), ids=PLOTS)
class TestEveryPlot:
    def test_returns_the_axes_it_was_given(self, draw):
        _, ax = plt.subplots()
        assert draw(ax) is ax
        assert len(plt.get_fignums()) == 1

    def test_makes_one_white_figure_if_there_are_no_axes(self, draw):
        ax = draw(None)
        assert len(plt.get_fignums()) == 1
        assert ax.figure.get_facecolor() == ax.get_facecolor() == (1, 1, 1, 1)

    def test_leaves_the_settings_of_matplotlib_alone(self, draw):
        before = dict(mpl.rcParams)
        draw(None)
        assert dict(mpl.rcParams) == before

    def test_is_drawn_without_warnings(self, draw, recwarn):
        draw(None).figure.canvas.draw()
        # Matplotlib 3.8 calls a newer pyparsing by names that are deprecated there.
        others = [w for w in recwarn if "Pyparsing" not in w.category.__name__]
        assert not others

    def test_has_a_text_of_sufficient_contrast(self, draw):
        ax = draw(None)
        texts = [ax.xaxis.label, ax.yaxis.label, ax.title]
        texts += ax.get_xticklabels() + ax.get_yticklabels()
        texts += ax.get_legend().get_texts() if ax.get_legend() else []
        for text in texts:
            assert contrast(text.get_color(), "white") >= 4.5


@pytest.mark.parametrize("name", sorted(PLOTS.keys() - {"image_grid"}))
def test_axes_are_labeled(name):
    ax = PLOTS[name](None)
    assert ax.get_xlabel()
    assert ax.get_ylabel()


def test_line_colours_stand_out():
    for color in (plots.NORMAL, plots.ANOMALY):
        assert contrast(color, "white") > 3


def test_style_ends_with_its_block():
    before = dict(mpl.rcParams)
    with plots.style():
        assert mpl.rcParams["text.color"] == plots.GREY
    assert dict(mpl.rcParams) == before


def test_a_backend_loaded_within_style_stays_interactive():
    """Or notebooks whose first picture is one of these would show no other."""
    before = mpl.is_interactive()
    try:
        with plots.style():
            mpl.interactive(True)  # as matplotlib-inline does at the first figure
        assert mpl.is_interactive()
    finally:
        mpl.interactive(before)


def test_style_is_usable_as_a_style_sheet():
    with plt.style.context(plots.STYLE):
        assert mpl.rcParams["text.color"] == plots.GREY


# image_grid


def canvas(*args, **options):
    return plots.image_grid(*args, **options).images[0].get_array()


def test_image_grid_puts_every_pixel_in_its_place():
    images = RNG.integers(0, 256, (5, 4, 3), dtype=np.uint8)
    drawn = canvas(images, columns=2)
    assert drawn.shape == (3 * 4 + 2, 2 * 3 + 1, 4)  # one pixel between tiles
    covered = np.zeros(drawn.shape[:2], bool)
    for k, image in enumerate(images):
        top, left = k // 2 * 5, k % 2 * 4
        tile = drawn[top : top + 4, left : left + 3]
        np.testing.assert_allclose(tile[..., :3], image[..., None] / 255 + np.zeros(3))
        covered[top : top + 4, left : left + 3] = True
    np.testing.assert_array_equal(drawn[..., 3], covered)  # transparent elsewhere


def test_image_grid_keeps_channels_apart():
    images = RNG.random((2, 3, 4, 4))
    images[0, 0, 0, 0], images[1, 2, 3, 3] = 0.0, 1.0
    drawn = canvas(images)
    np.testing.assert_allclose(drawn[:, :4, :3], images[0].transpose(1, 2, 0))
    np.testing.assert_allclose(drawn[:, 5:, :3], images[1].transpose(1, 2, 0))


def test_image_grid_scales_floats_over_the_whole_grid():
    drawn = canvas(np.array([[[-2.0]], [[0.0]], [[6.0]]]))
    np.testing.assert_allclose(drawn[0, ::2, 0], [0, 0.25, 1])


def test_image_grid_does_not_stretch_bytes():
    drawn = canvas(np.full((1, 2, 2), 51, np.uint8))
    np.testing.assert_allclose(drawn[..., :3], 0.2)


def test_image_grid_shows_constant_floats_and_one_channel_alike():
    drawn = canvas(np.full((2, 1, 2, 2), 7.0))
    np.testing.assert_array_equal(drawn[:, :2, :3], 0)


def test_image_grid_accepts_tensors():
    images = torch.rand(3, 1, 4, 4, requires_grad=True)
    np.testing.assert_array_equal(canvas(images), canvas(images.detach().numpy()))


def test_image_grid_interpolates_nothing_and_has_no_ticks():
    ax = plots.image_grid(np.zeros((1, 2, 2)), title="digits")
    assert ax.images[0].get_interpolation() == "nearest"
    assert not ax.axison
    assert ax.get_title() == "digits"


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((0, 28, 28)), r"at least one image, .* \(0, 1, 28, 28\)"),
        (np.zeros((28, 28)), r"must be of shape .* shape is \(28, 28\)"),
        (np.zeros((2, 8, 8, 3)), r"must be of shape .* shape is \(2, 8, 8, 3\)"),
        (np.zeros((2, 8, 8), int), "must be uint8 or float, but are int64"),
        (np.full((2, 8, 8), np.nan), "must be finite, .* from nan to nan"),
        (np.full((2, 8, 8), np.inf), "must be finite, .* from inf to inf"),
    ],
)
def test_image_grid_refuses(images, message):
    with pytest.raises(ValueError, match=f"images .*{message}"):
        plots.image_grid(images)
    assert not plt.get_fignums()


def test_image_grid_refuses_no_columns():
    with pytest.raises(ValueError, match="columns must be at least 1, but it is 0"):
        plots.image_grid(np.zeros((1, 2, 2)), columns=0)


# extremes


def test_extremes_keep_the_order_of_ties():
    lowest, highest = plots.extremes([2, 1, 2, 1, 3, 3, 0], n=3)
    assert lowest.tolist() == [6, 1, 3]
    assert highest.tolist() == [4, 5, 0]


def test_extremes_may_take_all():
    lowest, highest = plots.extremes([0.2, 0.1], n=2)
    assert lowest.tolist() == [1, 0]
    assert highest.tolist() == [0, 1]


@pytest.mark.parametrize("n", [0, -1, 4])
def test_extremes_refuse_n_out_of_range(n):
    with pytest.raises(ValueError, match=f"n must be from 1 to .* 3, but it is {n}"):
        plots.extremes([0.1, 0.2, 0.3], n)


def test_extremes_refuse_nan():
    with pytest.raises(ValueError, match="scores must be finite"):
        plots.extremes([0.1, np.nan], 1)


# curves


def test_roc_curve_names_its_area_and_draws_chance_once():
    ax = plots.roc_curve([0, 0, 1, 1], [1, 3, 2, 4], label="ours")
    plots.roc_curve([0, 0, 1, 1], [1, 2, 3, 4], ax=ax)
    assert legend(ax) == ["chance", "ours, AUC 0.750", "AUC 1.000"]
    assert ax.lines[1].get_color() != ax.lines[2].get_color()


def test_roc_curve_passes_through_the_right_points():
    line = plots.roc_curve([0, 0, 1, 1], [1, 3, 2, 4]).lines[1]
    points = set(zip(*line.get_data(), strict=True))
    assert points >= {(0, 0), (0, 0.5), (0.5, 0.5), (0.5, 1), (1, 1)}


def test_pr_curve_names_its_average_precision_and_the_base_rate():
    ax = plots.pr_curve([0, 1, 1, 1], [1, 2, 3, 4], label="ours")
    plots.pr_curve([0, 1, 1, 1], [4, 3, 2, 1], ax=ax)
    assert legend(ax)[:2] == ["base rate 0.750", "ours, AP 1.000"]
    assert len(legend(ax)) == 3
    assert set(ax.lines[0].get_ydata()) == {0.75}


@pytest.mark.parametrize(
    "plot", [plots.roc_curve, plots.pr_curve, plots.score_histogram]
)
def test_curves_refuse_one_class(plot):
    with pytest.raises(ValueError, match="labels must contain both"):
        plot([1, 1], [0.1, 0.2])
    assert not plt.get_fignums()


# score_histogram


def heights(ax):
    """Heights of the bins of both histograms, from their outlines."""
    return [patch.get_xy()[1:-1:2, 1][:40] for patch in ax.patches]


def test_histograms_of_positive_scores_are_logarithmic_and_complete():
    ax = plots.score_histogram(LABELS, SCORES, threshold=0.15)
    assert ax.get_xscale() == "log"
    assert ax.get_xlabel() == "anomaly score"
    assert [sum(h) for h in heights(ax)] == pytest.approx([1, 1])
    assert legend(ax) == ["normal (n = 50)", "anomaly (n = 250)", "threshold 0.15"]
    assert ax.lines[0].get_xdata()[0] == 0.15


def test_histograms_of_scores_of_both_signs_hide_the_tail_and_say_so():
    scores = np.append(SCORES[:-1] - 0.1, 1e6)
    ax = plots.score_histogram(LABELS, scores)
    assert ax.get_xscale() == "linear"
    assert ax.get_xlabel() == "anomaly score (1 largest not shown)"
    assert ax.get_xlim()[1] < 10
    assert [sum(h) for h in heights(ax)] == pytest.approx([1, 249 / 250])


def test_histograms_share_their_bins():
    normal, anomalous = plots.score_histogram(LABELS, SCORES).patches
    np.testing.assert_array_equal(normal.get_xy()[:, 0], anomalous.get_xy()[:, 0])


def test_histogram_view_includes_a_remote_threshold():
    ax = plots.score_histogram(LABELS, SCORES - 0.1, threshold=100.0)
    assert ax.get_xlim()[1] >= 100


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_histogram_of_a_collapsed_network_is_one_bar(value):
    ax = plots.score_histogram([0, 0, 1], [value] * 3)
    assert [np.count_nonzero(h) for h in heights(ax)] == [1, 1]
    assert ax.get_xlabel() == "anomaly score"


def test_histogram_legend_stands_above_the_bars():
    ax = plots.score_histogram(LABELS, SCORES, threshold=0.15)
    ax.figure.canvas.draw()
    top = ax.transData.transform((1, max(np.max(h) for h in heights(ax))))[1]
    assert ax.get_legend().get_window_extent().y0 > top


# learning_curves


@pytest.mark.parametrize(
    ("quantity", "label"), [("loss", "loss"), ("learning_rate", "learning rate")]
)
def test_learning_curves_draw_what_spans_a_decade_logarithmically(quantity, label):
    ax = plots.learning_curves(HISTORY, quantity=quantity)
    np.testing.assert_array_equal(ax.lines[0].get_xdata(), [1, 2, 3])
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), HISTORY[quantity])
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("epoch", label)
    assert ax.get_yscale() == "log"


def test_learning_curves_draw_a_radius_that_starts_at_zero():
    ax = plots.learning_curves(HISTORY | {"radius": [0.0, 1, 2]}, quantity="radius")
    assert ax.get_yscale() == "linear"


def test_learning_curves_show_a_single_epoch():
    line = plots.learning_curves({"epoch": [0], "loss": [0.5]}).lines[0]
    assert line.get_marker() == "o"


def test_learning_curves_refuse_what_was_not_recorded():
    message = r"one of \['epoch', 'learning_rate', 'loss'\], but 'radius' is not"
    with pytest.raises(ValueError, match=message):
        plots.learning_curves(HISTORY, quantity="radius")


def test_learning_curves_refuse_an_empty_history():
    with pytest.raises(ValueError, match="history must hold at least one epoch"):
        plots.learning_curves({"epoch": [], "loss": []})


# representation_projection


def scattered(ax):
    """Offsets of the normal and of the anomalous points."""
    return [np.asarray(points.get_offsets()) for points in ax.collections]


def test_projection_shows_the_widest_plane_of_the_normal_samples():
    # The anomalies vary most along an axis along which normal samples do not.
    points = REPRESENTATIONS.copy()
    points[LABELS == 1, 0] *= 100
    ax = plots.representation_projection(points, LABELS, center=points[0])
    normal, _ = scattered(ax)
    total = np.trace(np.cov(points[LABELS == 0].T))
    shares = np.var(normal, axis=0, ddof=1) / total
    assert (
        ax.get_xlabel()
        == f"principal component 1 ({100 * shares[0]:.0f} % of variance)"
    )
    assert (
        ax.get_ylabel()
        == f"principal component 2 ({100 * shares[1]:.0f} % of variance)"
    )
    assert shares[0] > 0.5
    assert legend(ax) == ["normal", "anomaly", "center"]
    star = np.ravel(ax.lines[0].get_data())
    assert np.isclose(normal, star).all(axis=1).any()  # projected like the points


def test_projection_draws_two_dimensions_as_they_are():
    points = REPRESENTATIONS[:, :2]
    ax = plots.representation_projection(points, LABELS, center=[1.0, 2.0], radius=3.0)
    drawn = np.concatenate(scattered(ax))
    assert sorted(map(tuple, drawn)) == sorted(map(tuple, points))
    circle = np.transpose(ax.lines[0].get_data())
    np.testing.assert_allclose(np.linalg.norm(circle - [1, 2], axis=1), 3)
    assert ax.get_aspect() == 1


def test_projection_draws_at_most_2000_points_and_the_same_each_time():
    labels = np.arange(5000) % 2
    points = np.random.default_rng(1).normal(size=(5000, 3))
    first, second = (
        np.concatenate(scattered(plots.representation_projection(points, labels)))
        for _ in range(2)
    )
    assert len(first) == 2000
    np.testing.assert_array_equal(first, second)


def test_projection_of_a_collapsed_network_is_one_point(recwarn):
    ax = plots.representation_projection(torch.ones(10, 4), [0] * 10)
    assert ax.get_xlabel() == "principal component 1 (0 % of variance)"
    np.testing.assert_array_equal(scattered(ax)[0], 0)
    assert not recwarn.list


@pytest.mark.parametrize(
    ("shape", "labels", "options", "message"),
    [
        ((4,), [0] * 4, {}, r"representations must be .*\(4, d\).* is \(4,\)"),
        ((4, 1), [0] * 4, {}, r"representations must be .* is \(4, 1\)"),
        ((4, 3), [0] * 5, {}, r"representations must be .*\(5, d\).* is \(4, 3\)"),
        ((2, 3), [0, 1], {}, "at least two normal samples .* hold 1"),
        ((2, 3), [0, 2], {}, r"labels\[1\] is 2"),
        ((2, 3), [0, 0], {"center": [0, 0]}, r"center must be of shape \(3,\)"),
        ((2, 3), [0, 0], {"center": [0] * 3, "radius": 1}, "radius must .* d is 3"),
        ((2, 2), [0, 0], {"radius": 1}, "radius must .* center is missing"),
    ],
)
def test_projection_refuses(shape, labels, options, message):
    with pytest.raises(ValueError, match=message):
        plots.representation_projection(np.zeros(shape), labels, **options)
    assert not plt.get_fignums()


def test_projection_refuses_nan():
    with pytest.raises(ValueError, match="representations must be finite"):
        plots.representation_projection(np.full((2, 2), np.nan), [0, 0])


# save


@pytest.mark.parametrize("pick", [lambda ax: ax, lambda ax: ax.figure])
def test_save_writes_a_png_on_white_and_nothing_else(tmp_path, pick):
    plots.save(pick(plots.roc_curve(LABELS, SCORES)), tmp_path / "roc.png", dpi=50)
    assert [path.name for path in tmp_path.iterdir()] == ["roc.png"]
    pixels = plt.imread(tmp_path / "roc.png")
    np.testing.assert_array_equal(pixels[0, 0], 1)


def test_save_writes_the_whole_figure_of_axes_in_a_subfigure(tmp_path):
    ax = plt.figure(figsize=(4, 2)).subfigures(1, 2)[0].subplots()
    plots.save(ax, tmp_path / "half.png", dpi=50)
    assert (tmp_path / "half.png").stat().st_size > 0


def test_save_refuses_another_format(tmp_path):
    ax = plots.learning_curves(HISTORY)
    with pytest.raises(ValueError, match=r"path must end in \.png, .*loss.jpg"):
        plots.save(ax, tmp_path / "loss.jpg")
    assert not list(tmp_path.iterdir())

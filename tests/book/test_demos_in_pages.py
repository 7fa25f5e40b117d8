"""The book's live parts in a browser: how readers use them, and what they see."""

import re

import numpy as np
import pytest

from tests.book import live
from tests.book.conftest import findings, watched
from tests.book.live import PAGES

PHONE = {"width": 390, "height": 844}


def start(page, site, name, query=""):
    """Open a demo's page, and start it as readers do."""
    page.goto(f"{site}/{PAGES[name]}.html{query}", wait_until="networkidle")
    box = page.locator(f"#demo-{name}")
    if not query:
        box.get_by_role("button", name="Start").click()
    page.wait_for_selector(f"#demo-{name}[data-running]")
    return box


@pytest.mark.parametrize("name", PAGES)
def test_a_program_is_loaded_when_it_is_started(page, site, name):
    loaded = []
    page.on("request", lambda request: loaded.append(request.url))
    page.goto(f"{site}/{PAGES[name]}.html", wait_until="networkidle")
    script = f"{site}/vendor/demos/{name}.js"
    assert script not in loaded
    said = page.locator(f"#demo-{name} .demo-start").inner_text()
    (kilobytes,) = re.findall(r"loads (\d+) kB", said)
    loaded.clear()
    with page.expect_response(script) as response:
        page.locator(f"#demo-{name}").get_by_role("button").press("Enter")
    page.wait_for_selector(f"#demo-{name}[data-running]")
    assert len(response.value.body()) == pytest.approx(1000 * int(kilobytes), abs=501)
    browsers_own = ("data:", f"{site}/_static/favicon")
    assert [url for url in loaded if not url.startswith(browsers_own)] == [script]
    assert page.evaluate(f"document.activeElement.closest('#demo-{name}') !== null")
    assert page.problems == []


@pytest.mark.parametrize("name", PAGES)
def test_other_pages_load_none(page, site, name):
    loaded = []
    page.on("request", lambda request: loaded.append(request.url))
    page.goto(f"{site}/notation.html?{name}.x=1", wait_until="networkidle")
    assert not [url for url in loaded if "/demos/" in url]
    assert page.problems == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_a_running_demo_is_accessible_and_fits_a_phone(browser, site, name, scheme):
    with watched(browser, site, color_scheme=scheme, viewport=PHONE) as page:
        box = start(page, site, name)
        page.wait_for_selector("html[data-reachable]", state="attached")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        wide = box.evaluate(
            "e => [...e.querySelectorAll('*')].filter(x => x.getBoundingClientRect()"
            ".right > e.getBoundingClientRect().right + 1).map(x => x.outerHTML)"
        )
        assert wide == []
        assert page.problems == []
        assert findings(page) == {}


@pytest.mark.parametrize("name", PAGES)
def test_a_demo_runs_from_a_disk(browser, built, name):
    folder = built.as_uri()
    with watched(browser, folder) as page:
        start(page, folder, name)
        assert page.problems == []


@pytest.mark.parametrize("name", PAGES)
def test_without_a_script_the_text_remains(browser, site, name):
    with watched(browser, site, java_script_enabled=False) as page:
        page.goto(f"{site}/{PAGES[name]}.html")
        box = page.locator(f"#demo-{name}")
        assert box.locator("p").first.is_visible()
        assert box.get_by_role("button").count() == 0


@pytest.mark.parametrize("name", PAGES)
def test_on_paper_there_is_an_address_instead_of_a_button(page, site, name):
    page.goto(f"{site}/{PAGES[name]}.html", wait_until="networkidle")
    page.emulate_media(media="print")
    box = page.locator(f"#demo-{name}")
    assert not box.get_by_role("button").is_visible()
    still = box.locator(".demo-still")
    assert still.is_visible()
    assert still.inner_text().endswith(f"{PAGES[name]}.html#demo-{name}")


def test_a_program_that_does_not_come_can_be_asked_for_again(page, site):
    page.route("**/roc.js", lambda route: route.abort())
    page.goto(f"{site}/10-evaluation.html", wait_until="networkidle")
    box = page.locator("#demo-roc")
    box.get_by_role("button").click()
    box.get_by_text("could not be loaded").wait_for()
    page.unroute("**/roc.js")
    box.get_by_role("button").click()
    page.wait_for_selector("#demo-roc[data-running]")


def facts(box):
    """What a demo's list says: term and value."""
    rows = box.locator(".demo-facts div").all()
    return {
        row.locator("dt").inner_text(): row.locator("dd").inner_text() for row in rows
    }


def table_of(box):
    """The numbers of the confusion table."""
    cells = box.locator(".demo-table tbody td").all_inner_texts()
    return [int(text.replace(",", "")) for text in cells]


def test_a_threshold_decides_table_and_rates(page, site, scores):
    box = start(page, site, "roc")
    network = scores["network"]
    slider = box.get_by_role("slider", name="Threshold")
    for key, times in (("ArrowRight", 40), ("PageDown", 3), ("Home", 1)):
        for _ in range(times):
            slider.press(key)
        t = float(slider.get_attribute("aria-valuetext"))
        page.wait_for_timeout(100)  # two frames
        found, missed, wrong, passed = table_of(box)
        assert found + missed == pytest.approx(8990, abs=1)
        assert wrong + passed == pytest.approx(1010, abs=1)
        # Three digits of t are shown: the numbers lie between those of its neighbors.
        for kind, number in (("anomalous", found), ("normal", wrong)):
            low, high = ((network[kind] > t * k).sum() for k in (1.005, 0.995))
            assert low - 1 <= number <= high + 1, (key, kind)
    assert passed == 0


def test_the_base_rate_moves_the_precision_and_not_the_roc_curve(page, site):
    box = start(page, site, "roc")
    curve = box.locator("svg[aria-label^='ROC'] .curve")
    before, shown = curve.get_attribute("d"), facts(box)
    rate = box.get_by_role("slider", name="Base rate")
    rate.press("Home")
    page.wait_for_timeout(100)
    assert curve.get_attribute("d") == before
    after = facts(box)
    same, other = "Anomalies found (TPR)", "Flags that are right (precision)"
    assert after[same] == shown[same]
    assert float(after[other].split()[0]) < 1 < 90 < float(shown[other].split()[0])
    spoken = box.get_by_role("status")
    said = "e => e.textContent.includes(' 0.')"
    page.wait_for_function(said, arg=spoken.element_handle())


def test_a_threshold_can_be_dragged_and_its_address_opens_it_again(page, site):
    box = start(page, site, "roc")
    picture = box.locator("svg[aria-label^='Histograms']")
    picture.scroll_into_view_if_needed()
    place = picture.bounding_box()
    y = place["y"] + 90
    page.mouse.move(place["x"] + 150, y)
    page.mouse.down()
    page.mouse.move(place["x"] + 0.7 * place["width"], y, steps=4)
    page.mouse.up()
    box.get_by_role("slider", name="costs as much").press("PageUp")
    box.get_by_label("Detector").select_option("nearest neighbor")
    page.mouse.click(place["x"] + 0.6 * place["width"], y)
    page.wait_for_function("location.search.includes('roc.detector')")
    page.wait_for_timeout(500)
    shown = facts(box), table_of(box)
    query = page.evaluate("location.search")
    assert re.fullmatch(r"\?roc.detector=nearest\+neighbor&roc.t=.*&roc.cost=.*", query)
    again = start(page, site, "roc", query)
    assert (facts(again), table_of(again)) == shown


def test_points_are_moved_added_and_removed_by_mouse_and_by_keys(page, site):
    box = start(page, site, "svdd")
    sheet = box.locator(".demo-plane")
    sheet.scroll_into_view_if_needed()
    place = sheet.bounding_box()
    points = sheet.get_by_role("button")
    assert points.count() == 50
    page.mouse.click(place["x"] + place["width"] - 30, place["y"] + 30)
    assert points.count() == 51
    label = "e => e.getAttribute('aria-label')"
    last = points.nth(50)
    assert "outside, weight 1.00 C" in last.evaluate(label)
    ground = box.locator(".demo-plane").locator("xpath=preceding-sibling::canvas")
    seen = "canvas => canvas.toDataURL()"
    before = ground.evaluate(seen)
    page.mouse.move(place["x"] + place["width"] - 30, place["y"] + 30)
    page.mouse.down()
    middle = place["x"] + place["width"] / 2, place["y"] + place["height"] / 2
    page.mouse.move(*middle, steps=5)
    page.mouse.up()
    page.wait_for_timeout(200)
    assert points.count() == 51
    assert "at 0.50, 0.25: inside" in last.evaluate(label)
    assert ground.evaluate(seen) != before

    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowDown")
    page.wait_for_timeout(200)
    assert "at 0.55, 0.24" in last.evaluate(label)
    page.keyboard.press("Home")
    assert points.nth(0).evaluate("e => e === document.activeElement")
    page.keyboard.press("Delete")
    assert points.count() == 50
    page.keyboard.press("+")
    assert points.count() == 51
    assert points.nth(50).evaluate("e => e === document.activeElement")
    # Of all points one is in the order of the Tab key.
    assert sheet.locator("[tabindex='0']").count() == 1
    assert page.problems == []


def test_the_nu_property_can_be_watched_and_linked_to(page, site):
    box = start(page, site, "svdd")
    box.get_by_role("button", name="ring").click()
    box.get_by_role("slider", name="γ").press("PageUp")
    slider = box.get_by_role("slider", name="ν")
    for _ in range(4):
        slider.press("PageUp")
        page.wait_for_timeout(200)
        said = facts(box)
        outliers, support = (
            int(said[name].split()[0]) for name in ("Outliers", "Support vectors")
        )
        assert outliers <= float(said["ν n, between the two"]) <= support
        assert said["Duality gap"] == "below 10⁻⁸"
    page.wait_for_timeout(500)
    query = page.evaluate("location.search")
    assert set(re.findall(r"svdd\.(\w+)=", query)) == {"points", "nu", "gamma"}
    assert facts(start(page, site, "svdd", query)) == said


def test_members_are_picked_by_keys_and_linked_to(page, site):
    box = start(page, site, "seeds")
    alone = number(facts(box)["AUC of the ensemble"])
    members = box.get_by_role("checkbox")
    assert members.count() == 5
    assert page.evaluate("document.activeElement.matches('.demo-member')")
    page.keyboard.press("Space")  # the last one has to stay
    assert members.first.is_checked()
    for _ in range(4):
        page.keyboard.press("Tab")
        page.keyboard.press("Space")
        page.wait_for_timeout(100)
    said = facts(box)
    together = number(said["AUC of the ensemble"])
    assert together > alone + 2
    assert together > number(said["Best of the five, picked by labels"])
    assert number(said["Variance left, normal images"]) < 90
    box.get_by_label("Distances").select_option("tenfold")
    page.wait_for_timeout(100)
    assert number(facts(box)["AUC of the ensemble"]) < together
    box.get_by_label("Networks").select_option("untrained")
    members.nth(1).uncheck()
    page.wait_for_timeout(600)
    said = facts(box)
    query = page.evaluate("location.search")
    assert set(query.removeprefix("?").split("&")) == {
        "seeds.stage=untrained",
        "seeds.members=0234",
        "seeds.units=tenfold",
    }
    again = start(page, site, "seeds", query)
    assert facts(again) == said
    assert [again.get_by_role("checkbox").nth(k).is_checked() for k in range(5)] == [
        *(True, False, True, True, True)
    ]
    box.get_by_role("button", name="All five").click()
    page.wait_for_timeout(100)
    assert members.nth(1).is_checked()
    assert page.problems == []


STROKES = (
    ((80, 70), (140, 45), (200, 80), (150, 125)),
    ((150, 125), (215, 170), (150, 235), (75, 205)),
)


def draw(page, box, strokes):
    """Draw by mouse; the canvas is so many pixels wide as the strokes think it is."""
    canvas = box.locator(".demo-canvas")
    canvas.scroll_into_view_if_needed()
    place = canvas.bounding_box()
    unit = place["width"] / 280
    for (x, y), *rest in strokes:
        page.mouse.move(place["x"] + x * unit, place["y"] + y * unit)
        page.mouse.down()
        for u, v in rest:
            page.mouse.move(place["x"] + u * unit, place["y"] + v * unit, steps=6)
        page.mouse.up()


def distances(strokes, axis):
    """Distance of every pixel's middle from the nearest segment of strokes."""
    middle = np.stack(np.meshgrid(axis, axis), axis=-1)  # (row, column, xy)
    found = np.full(middle.shape[:2], np.inf)
    for stroke in strokes:
        for a, b in zip(stroke, [*stroke[1:], stroke[-1]], strict=True):
            along = b - a
            t = ((middle - a) @ along / max(along @ along, 1e-300)).clip(0, 1)
            gap = np.linalg.norm(middle - a - t[..., None] * along, axis=-1)
            found = np.minimum(found, gap)
    return found


def image_of(drawing, pen):
    """The page's image of strokes, computed once more: as MNIST's are placed."""
    strokes = [np.array(stroke) * 28 / 1000 for stroke in drawing]
    axis = np.arange(28) + 0.5
    points = np.concatenate(strokes)
    low, high = points.min(axis=0), points.max(axis=0)
    scale = (20 - pen) / (high - low).max()
    strokes = [(stroke - (low + high) / 2) * scale + 14 for stroke in strokes]

    def ink():
        covered = (pen / 2 + 0.5 - distances(strokes, axis)).clip(0, 1)
        return np.floor(255 * covered + 0.5)

    image = ink()
    offset = [14 - (image.sum(k) @ axis) / image.sum() for k in (0, 1)]
    strokes = [stroke + offset for stroke in strokes]
    return ink().astype(np.uint8)


def settled(page):
    page.wait_for_selector("#demo-digit[data-still]")
    return float(page.locator("#demo-digit").get_attribute("data-score"))


def drawn_in(query):
    """The strokes that an address has."""
    (text,) = re.findall(r"digit\.drawing=([\d-]+)", query)
    return [
        np.array(re.findall(r"\d{3}", stroke), float).reshape(-1, 2)
        for stroke in text.split("-")
    ]


@pytest.mark.parametrize("place", ["quickstart", "draw"])
def test_the_score_of_a_drawing_is_pythons(page, site, detector, place):
    page.goto(f"{site}/{place}.html", wait_until="networkidle")
    box = page.locator("#demo-digit")
    box.get_by_role("button", name="Start").click()
    page.wait_for_selector("#demo-digit[data-running]")
    box.get_by_role("button", name="Clear").click()
    draw(page, box, STROKES)
    score = settled(page)
    pixels = bytes.fromhex(box.locator(".demo-seen").get_attribute("data-pixels"))
    image = np.frombuffer(pixels, np.uint8).reshape(28, 28)
    (expected,) = detector.anomaly_score(image[None])
    assert score == pytest.approx(expected, rel=1e-4)
    page.wait_for_function("location.search.includes('digit.drawing')")
    page.wait_for_timeout(400)
    strokes = drawn_in(page.evaluate("location.search"))
    assert [len(stroke) > 10 for stroke in strokes] == [True, True]
    again = image_of(strokes, 2.8)
    assert np.abs(again.astype(int) - image).max() <= 1  # where 255 · x is a half
    (expected,) = detector.anomaly_score(again[None])
    assert score == pytest.approx(expected, rel=1e-4)
    normal = live.shown()["normal"]
    p = (1 + (normal >= score).sum()) / (1 + len(normal))
    assert float(facts(box)["p-value"]) == pytest.approx(p, rel=0.01)
    assert page.problems == []


def test_presets_nearest_threes_and_an_address(page, site, detector, threes):
    box = start(page, site, "digit")
    verdicts = {}
    for name in ("a three", "a mirrored three", "a three with a hole", "a fish"):
        box.get_by_role("button", name=name, exact=True).click()
        page.wait_for_timeout(100)
        settled(page)
        verdicts[name] = facts(box)["Verdict"]
    assert verdicts["a three"] == "normal"
    assert verdicts["a mirrored three"] == verdicts["a fish"] == "flagged"
    pixels = bytes.fromhex(box.locator(".demo-seen").get_attribute("data-pixels"))
    image = np.frombuffer(pixels, np.uint8).reshape(1, 28, 28)
    some = threes.x_train[live.shown()["chosen"]]
    apart = ((detector.represent(some) - detector.represent(image)) ** 2).sum(axis=1)
    said = box.locator(".demo-tiles").get_attribute("aria-label").split("distances ")[1]
    shown = [float(number) for number in said.split(", ")]
    np.testing.assert_allclose(shown, np.sort(apart)[:6], rtol=0.01)
    assert box.locator(".demo-tiles canvas").count() == 6
    page.wait_for_timeout(400)
    query = page.evaluate("location.search")
    again = start(page, site, "digit", query)
    settled(page)
    assert facts(again)["Verdict"] == "flagged"
    assert again.get_attribute("data-score") == box.get_attribute("data-score")


def test_another_digit_can_be_the_normal_one(page, site):
    box = start(page, site, "digit")
    settled(page)
    with page.expect_response("**/demos/digit/7.js") as loaded:
        box.get_by_label("Normal digit").select_option("seven")
    assert 70_000 < len(loaded.value.body()) < 130_000  # "about 100 kB"
    page.wait_for_selector("#demo-digit[data-normal='7']")
    score = settled(page)
    pixels = bytes.fromhex(box.locator(".demo-seen").get_attribute("data-pixels"))
    image = np.frombuffer(pixels, np.uint8).reshape(1, 28, 28)
    (expected,) = live.detector(7).anomaly_score(image)
    assert score == pytest.approx(expected, rel=1e-4)
    assert facts(box)["Verdict"] == "flagged"  # the drawing is a three
    p = (1 + (live.shown(7)["normal"] >= score).sum()) / (1 + 1028)
    assert float(facts(box)["p-value"]) == pytest.approx(p, rel=0.01)
    assert "1,028 sevens" in box.inner_text()
    assert "200 training sevens" in box.inner_text()
    page.wait_for_function("location.search.includes('digit.normal=7')")
    again = start(page, site, "digit", page.evaluate("location.search"))
    page.wait_for_selector("#demo-digit[data-normal='7']")
    page.wait_for_function(
        "s => document.querySelector('#demo-digit').dataset.score === s", arg=str(score)
    )
    assert again.get_by_label("Normal digit").input_value() == "7"
    again.get_by_label("Normal digit").select_option("three")
    page.wait_for_selector("#demo-digit[data-normal='3']")
    assert page.problems == []


def test_a_digit_that_cannot_be_loaded_leaves_what_was_there(page, site):
    box = start(page, site, "digit")
    page.route("**/demos/digit/5.js", lambda route: route.abort())
    box.get_by_label("Normal digit").select_option("five")
    box.get_by_text("It could not be loaded. Try again.").wait_for()
    assert box.get_by_label("Normal digit").input_value() == "3"
    assert box.get_attribute("data-normal") == "3"
    page.unroute("**/demos/digit/5.js")
    box.get_by_label("Normal digit").select_option("five")
    page.wait_for_selector("#demo-digit[data-normal='5']")


def test_a_digit_can_be_drawn_by_keys(page, site):
    box = start(page, site, "digit")
    box.get_by_role("button", name="Clear").click()
    page.wait_for_timeout(200)
    assert facts(box) == {"Score": "nothing is drawn"}
    box.locator(".demo-canvas").focus()
    for key, times in (
        *(("ArrowDown", 3), ("Space", 1), ("ArrowRight", 6), ("ArrowDown", 8)),
        *(("Space", 1), ("ArrowDown", 5), ("Space", 1), ("Shift+ArrowLeft", 2)),
    ):
        for _ in range(times):
            page.keyboard.press(key)
    page.wait_for_timeout(600)
    strokes = drawn_in(page.evaluate("location.search"))
    assert [len(stroke) for stroke in strokes] == [15, 3]
    assert page.evaluate("document.activeElement.matches('.demo-canvas')")
    page.keyboard.press("Backspace")
    page.wait_for_timeout(600)
    assert len(drawn_in(page.evaluate("location.search"))) == 1
    assert page.problems == []


def trained(page, box, preset, steps=1000):
    """Choose settings, train, and return what the list says."""
    box.get_by_role("button", name=preset, exact=True).click()
    for k in range(steps // 200):
        box.get_by_role("button", name="200 steps").click()
        page.wait_for_selector(f"#demo-playground[data-steps='{200 * (k + 1)}']")
    return facts(box), box.locator(".demo-verdict").inner_text()


def number(text):
    return float(text.replace("−", "-").split()[0].replace(",", ""))


def test_each_proposition_can_be_watched(page, site):
    box = start(page, site, "playground")
    said, verdict = trained(page, box, "healthy")
    assert verdict == "in training"
    assert number(said["Relative spread"]) > 0.02
    assert number(said["AUC of these anomalies"]) > 90
    said, verdict = trained(page, box, "free center")
    assert verdict == "collapsed: the center is at the origin"
    assert number(said["‖c‖"]) < 1e-2
    assert number(said["Loss"]) < 1e-6
    for preset in ("bias terms", "bounded activation"):
        said, verdict = trained(page, box, preset)
        assert verdict == "collapsed: all points are one", preset
        assert number(said["‖c‖"]) > 0.1
        assert number(said["AUC of these anomalies"]) < 90
    said, verdict = trained(page, box, "ν-property", 400)
    assert verdict == "in training"
    outside, n = (number(said["Outside R"]), number(said["ν n"]))
    assert outside <= n <= number(said["Outside or on R"])
    assert page.problems == []


def test_training_runs_pauses_and_begins_again(page, site):
    box = start(page, site, "playground")
    steps = "+document.getElementById('demo-playground').dataset.steps"
    box.get_by_role("button", name="Train").click()
    page.wait_for_function(f"{steps} > 50")
    box.get_by_role("button", name="Pause").click()
    taken = page.evaluate(steps)
    page.wait_for_timeout(300)
    assert page.evaluate(steps) == taken
    box.get_by_role("button", name="Start again").click()
    assert page.evaluate(steps) == 0
    box.get_by_label("Bias terms").select_option("yes")
    box.get_by_role("slider", name="Weight decay").press("Home")
    box.locator(".demo-plane").get_by_role("button").last.focus()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("+")
    page.wait_for_timeout(600)
    query = page.evaluate("location.search")
    assert set(re.findall(r"playground\.(\w+)=", query)) == {
        "bias",
        "decay",
        "anomalies",
    }
    said, verdict = facts(box), box.locator(".demo-verdict").inner_text()
    again = start(page, site, "playground", query)
    assert verdict == "not trained"
    assert facts(again) == said
    assert page.problems == []


def test_nothing_moves_for_readers_who_want_no_motion(browser, site):
    with watched(browser, site, reduced_motion="reduce") as page:
        box = start(page, site, "playground")
        box.get_by_role("button", name="Train").click()
        page.wait_for_selector("#demo-playground[data-steps='200']")
        page.wait_for_timeout(300)
        assert box.get_attribute("data-steps") == "200"
        assert box.get_by_role("button", name="Pause").count() == 0


@pytest.mark.parametrize("name", ["svdd", "playground"])
def test_points_are_dragged_and_added_by_a_finger(browser, site, name):
    touch = {"has_touch": True, "is_mobile": True, "viewport": PHONE}
    with watched(browser, site, **touch) as page:
        box = start(page, site, name)
        sheet = box.locator(".demo-plane")
        sheet.scroll_into_view_if_needed()
        points = sheet.get_by_role("button")
        n = points.count()
        place = sheet.bounding_box()
        page.touchscreen.tap(place["x"] + place["width"] - 20, place["y"] + 20)
        assert points.count() == n + 1
        point = points.nth(n)
        before = point.bounding_box()
        scrolled = page.evaluate("scrollY")
        finger = page.context.new_cdp_session(page)

        def touched(kind, *at):
            spots = [{"x": x, "y": y} for x, y in at]
            finger.send(
                "Input.dispatchTouchEvent", {"type": kind, "touchPoints": spots}
            )

        x, y = (before[a] + before[b] / 2 for a, b in (("x", "width"), ("y", "height")))
        touched("touchStart", (x, y))
        for k in range(1, 6):
            touched("touchMove", (x - 12 * k, y + 12 * k))
        touched("touchEnd")
        page.wait_for_timeout(300)
        after = point.bounding_box()
        assert after["x"] - before["x"] == pytest.approx(-60, abs=3)
        assert after["y"] - before["y"] == pytest.approx(60, abs=3)
        assert page.evaluate("scrollY") == scrolled  # a drag does not scroll the page
        assert points.count() == n + 1
        assert page.problems == []

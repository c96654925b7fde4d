"""The page: what it refuses, and a person's way through it in a real browser."""

import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from urllib.parse import urlsplit

import numpy as np
import pytest
from test_labeling import BANDS, NAMES, SHAPE, TRUTH
from test_scenes import write

from sklearn_geoal.labeling import LabelingSession
from sklearn_geoal.labeling._pictures import class_png, png, uncertainty_png

pytest.importorskip("uvicorn", reason="uvicorn is not installed")
rasterio = pytest.importorskip("rasterio", reason="rasterio is not installed")


class Server:
    """The command line as a process, and plain requests to it."""

    def __init__(self, path, folder):
        self.folder = folder
        self._process = subprocess.Popen(
            [sys.executable, "-m", "sklearn_geoal", "label", path, "--classes", ",".join(NAMES), "--folder", folder,
             "--no-browser"],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.address = re.search(r"http://\S+/", self._process.stdout.readline())[0]
        self.netloc, self.path = urlsplit(self.address).netloc, urlsplit(self.address).path
        self.wait()

    def ask(self, path, body=None, *, base=None, **headers):
        connection = http.client.HTTPConnection(self.netloc, timeout=60)
        try:
            given = {"Content-Type": "application/json"} if body is not None else {}
            given |= {name.replace("_", "-"): value for name, value in headers.items()}
            connection.putrequest(
                "GET" if body is None else "POST", (base or self.path) + path, skip_host="Host" in given
            )
            body = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
            given.setdefault("Content-Length", str(len(body)))
            for header in given.items():
                connection.putheader(*header)
            connection.endheaders()
            try:
                connection.send(body)
            except (BrokenPipeError, ConnectionResetError):
                pass  # refused before it was read
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def do(self, **what):
        return self.ask("do", what)

    def state(self):
        return json.loads(self.ask("state")[1])

    def wait(self):
        """Until the session is ready and nothing is left to be taught."""
        for _ in range(3000):
            state = self.state()
            assert not state.get("error"), state["error"]
            if state["ready"] and not state["busy"]:
                return state
            time.sleep(0.02)
        raise TimeoutError("The session was not ready within a minute.")

    def kill(self):
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def stop(self):
        self._process.send_signal(signal.SIGINT)
        return self._process.wait(20)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return write(tmp_path_factory.mktemp("scene") / "scene.tif", np.nan_to_num(BANDS, nan=-99), nodata=-99)


@pytest.fixture
def server(path, tmp_path):
    server = Server(path, tmp_path / "labels")
    yield server
    server.kill()


@pytest.mark.parametrize(
    "values, palette", [(np.arange(36, dtype=np.uint8).reshape(3, 4, 3), None), (np.eye(5, 7, dtype=np.uint8), True)]
)
def test_png_holds_what_was_put_in(values, palette, tmp_path):
    path = tmp_path / "picture.png"
    path.write_bytes(png(values, *([[b"\x01\x02\x03", b"\x04\x05\x06"], [255, 0]] if palette else [])))
    with rasterio.open(path) as file:
        found = file.read()
        table = None if palette is None else file.colormap(1)
    if palette is None:
        np.testing.assert_array_equal(np.moveaxis(found, 0, -1), values)
    else:
        np.testing.assert_array_equal(found[0], values)
        assert table[0] == (1, 2, 3, 255) and table[1] == (4, 5, 6, 0)


def test_map_pictures_are_clear_where_nothing_is_known(tmp_path):
    for content in (
        class_png(np.array([[0, 1], [-1, 1]]), ["#ff0000", "#00ff00"]),
        uncertainty_png(np.array([[0, 1], [np.nan, 1]])),
    ):
        (tmp_path / "map.png").write_bytes(content)
        with rasterio.open(tmp_path / "map.png") as file:
            table, values = file.colormap(1), file.read(1)
        assert [table[int(value)][3] for value in values.ravel()] == [255, 255, 0, 255]
        assert values[0, 1] == values[1, 1] != values[0, 0]


def test_what_is_foreign_is_refused_and_changes_nothing(server):
    before, journal = server.state(), (server.folder / "journal.jsonl").read_bytes()
    answer = {"do": "answer", "pixel": 3, "class": 0}
    refused = {
        "no token": (server.ask("do", answer, base="/"), 403),
        "other token": (server.ask("do", answer, base="/" + "x" * 32 + "/"), 403),
        "foreign origin": (server.ask("do", answer, Origin="http://evil.example"), 403),
        "no origin known": (server.ask("do", answer, Origin="null"), 403),
        "foreign host": (server.ask("do", answer, Host="evil.example"), 421),
        "form of another page": (server.ask("do", answer, Content_Type="text/plain"), 415),
        "large": (server.ask("do", b"x" * (2**20 + 1)), 413),
        "said to be large": (server.ask("do", b"", Content_Length="100000000"), 413),
        "no JSON": (server.ask("do", b"{"), 400),
        "no object": (server.ask("do", [1]), 400),
        "unknown action": (server.do(do="plain"), 400),
        "private action": (server.do(do="__init__"), 400),
        "outside": (server.do(do="answer", pixel=SHAPE[0] * SHAPE[1], **{"class": 0}), 400),
        "negative": (server.do(do="answer", pixel=-1, **{"class": 0}), 400),
        "fraction": (server.do(do="answer", pixel=1.5, **{"class": 0}), 400),
        "truth value": (server.do(do="answer", pixel=True, **{"class": 0}), 400),
        "huge": (server.do(do="answer", pixel=10**30, **{"class": 0}), 400),
        "no such class": (server.do(do="answer", pixel=3, **{"class": 99}), 400),
        "class of another kind": (server.do(do="answer", pixel=3, **{"class": {}}), 400),
        "broken polygon": (server.do(do="add", polygon=[["a", 1]], **{"class": 0}), 400),
        "name of another kind": (server.do(do="class", name=["x"]), 400),
        "path": (server.ask("exported/..%2f..%2fetc%2fpasswd"), 404),
        "file that was not exported": (server.ask("exported/journal.jsonl"), 400),
        "path of a file of the page": (server.ask("../_page.py"), 404),
        "bands": (server.ask("picture/scene.png?bands=0,1,99&cut=2"), 400),
        "block": (server.ask("picture/scene.png?bands=0,1,2&cut=2&block=0,99999,0,99999"), 400),
        "spectrum": (server.ask("spectrum/99999999"), 400),
    }
    assert {name: got[0] for name, (got, _) in refused.items()} == {
        name: status for name, (_, status) in refused.items()
    }
    assert server.state() == before and (server.folder / "journal.jsonl").read_bytes() == journal
    assert server.ask("do", answer, Origin=f"http://{server.netloc}")[0] == 200


def test_answer_is_kept_when_the_server_is_killed(server, path):
    server.do(do="answer", pixel=3, **{"class": 1})
    server.do(do="skip", pixel=40)
    server.kill()
    session = LabelingSession(path, folder=server.folder)
    assert session.labels == {3: NAMES[1]} and session.skipped == [40]
    session.close()


def test_second_window_is_told_of_the_first(server):
    seen = server.state()["seq"]
    assert server.do(do="answer", pixel=3, seen=seen, **{"class": 1})[0] == 200
    status, text = server.do(do="answer", pixel=3, seen=seen, **{"class": 2})
    assert status == 409 and b"meanwhile" in text
    assert server.wait()["progress"]["counts"] == [0, 1, 0]


def test_interrupt_ends_the_server(server):
    assert server.stop() == 0


# --- in a browser


@pytest.fixture
def browser():
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (chromium and driver):
        pytest.skip("needs chromium and chromedriver: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1280,900"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = webdriver.Chrome(options, webdriver.ChromeService(driver))
    browser.set_script_timeout(60)
    yield browser
    browser.quit()


def until(browser, condition, seconds=60):
    """Wait until a JavaScript expression is true, and give its value."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = browser.execute_script(
            f"try {{ const v = {condition}; return v instanceof Node ? true : v }} catch (error) {{ return null }}"
        )
        if value:
            return value
        time.sleep(0.02)
    raise TimeoutError(f"{condition} did not come true; the status is {text(browser, 'status')!r}.")


def opened(browser, server):
    browser.get(server.address)
    until(browser, "state.ready && !state.busy && pictures.scene.image && pictures.classes.image")


def settled(browser, seq):
    """Wait for the page to show that the events up to `seq` were taught."""
    until(browser, f"state.seq >= {seq} && !state.busy")


def text(browser, element):
    return browser.find_element("id", element).text


def press(browser, key):
    browser.find_element("id", "view").send_keys(key)


def seq(browser):
    return browser.execute_script("return state.seq")


def click_pixel(browser, pixel):
    """Click where a pixel is shown."""
    from selenium.webdriver import ActionChains

    x, y = browser.execute_script(
        "const [r, c] = rowAndColumn(arguments[0]);"
        "return [(c + 0.5 - left) * scale - view.clientWidth / 2, (r + 0.5 - top_) * scale - view.clientHeight / 2]",
        pixel,
    )  # fmt: skip
    ActionChains(browser).move_to_element_with_offset(
        browser.find_element("id", "view"), round(x), round(y)
    ).click().perform()


@pytest.mark.browser
def test_a_session_in_the_browser(browser, server, path):
    from selenium.webdriver import ActionChains, Keys
    from selenium.webdriver.support.ui import Select

    opened(browser, server)
    assert "Exploring" in text(browser, "why") and "0 labels" in text(browser, "counts")

    # by button
    query = browser.execute_script("return state.query.pixel")
    known = seq(browser)
    browser.find_elements("css selector", "#answers button")[int(TRUTH.flat[query])].click()
    settled(browser, known + 1)
    # by key, and skipped by key
    for _ in range(7):
        query, known = browser.execute_script("return [state.query.pixel, state.seq]")
        press(browser, str(1 + int(TRUTH.flat[query])))
        settled(browser, known + 1)
    known = seq(browser)
    press(browser, "s")
    settled(browser, known + 1)
    until(browser, "state.progress.n_labels == 8 && state.progress.n_skipped == 1")
    known = seq(browser)
    press(browser, "u")
    settled(browser, known + 1)
    until(browser, "state.progress.n_skipped == 0")

    # a click picks a pixel, also when zoomed
    press(browser, "+")
    press(browser, "c")
    query, labeled = browser.execute_script("return [state.query.pixel, state.history.map(action => action.pixels[0])]")
    valid = np.flatnonzero(~np.isnan(BANDS).any(axis=0))
    free = np.setdiff1d(valid, [query, *labeled])
    apart = np.abs(np.stack(np.divmod(free, SHAPE[1])) - np.array(divmod(query, SHAPE[1]))[:, None]).max(axis=0)
    other = int(free[apart.argmin()])
    click_pixel(browser, other)
    assert until(browser, "target && target.pixel") == other
    known = seq(browser)
    press(browser, str(1 + int(TRUTH.flat[other])))
    settled(browser, known + 1)
    until(browser, "!target && state.progress.n_labels == 9")

    # an area, drawn
    browser.find_element("id", "whole").click()
    browser.find_element("id", "draw").click()
    view = browser.find_element("id", "view")
    chain = ActionChains(browser).move_to_element(view).click_and_hold()
    for x, y in ((60, 0), (0, 60), (-60, 0), (0, -60)):
        chain = chain.move_by_offset(x, y)
    chain.release().perform()
    until(browser, "target && target.polygon")
    known = seq(browser)
    press(browser, "3")
    settled(browser, known + 1)
    until(browser, "state.history.some(action => action.pixels.length > 1)")
    known = seq(browser)
    browser.find_element("id", "undo").click()
    settled(browser, known + 1)

    # names, colours, history
    browser.find_element("id", "name").send_keys("bare soil")
    browser.find_element("css selector", "#add button").click()
    until(browser, "state.classes.length == 4")
    name = browser.find_elements("css selector", "#legend input:not([type=color])")[0]
    name.send_keys(Keys.CONTROL, "a")
    name.send_keys("lake\t")
    until(browser, "state.classes[0].name == 'lake'")
    known = seq(browser)
    Select(browser.find_elements("css selector", "#history select")[0]).select_by_visible_text("bare soil")
    settled(browser, known + 1)
    until(browser, "state.progress.counts[3] == 1")
    browser.find_element("id", "undo").click()
    until(browser, "state.progress.counts[3] == 0")

    # export
    browser.find_element("id", "export").click()
    until(browser, "document.querySelectorAll('#files a').length == 5")
    with rasterio.open(server.folder / "map.tif") as file:
        assert "lake" in json.loads(file.tags()["classes"]).values()
    # nothing failed in the browser's own eyes
    severe = [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
    assert not severe
    server.kill()
    session = LabelingSession(path, folder=server.folder)
    assert len(session.labels) == 9
    known = ~np.isnan(BANDS).any(axis=0)
    assert (session.map() == TRUTH)[known].mean() > 0.85
    session.close()


@pytest.mark.browser
def test_a_killed_server_goes_on_where_it_was(browser, server, path):
    opened(browser, server)
    for _ in range(3):
        known = seq(browser)
        press(browser, "2")
        settled(browser, known + 1)
    labels = browser.execute_script("return state.history.map(action => [action.pixels, action.class])")
    server.kill()
    until(browser, "$('status').className == 'bad'")  # the page says that it talks to nobody
    other = Server(path, server.folder)
    try:
        opened(browser, other)
        assert browser.execute_script("return state.history.map(action => [action.pixels, action.class])") == labels
    finally:
        other.kill()


@pytest.mark.browser
def test_two_windows_see_each_other(browser, server):
    opened(browser, server)
    first = browser.current_window_handle
    browser.switch_to.new_window("tab")
    opened(browser, server)
    known = seq(browser)
    press(browser, "1")
    settled(browser, known + 1)
    browser.switch_to.window(first)
    until(browser, "state.progress.n_labels == 1")


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone_and_has_a_name_for_everything(browser, server, scheme, tmp_path):
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": 400, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    )
    browser.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    )
    opened(browser, server)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 400
    nameless = browser.execute_script(
        "return [...document.querySelectorAll('button, input, select, canvas')].filter(e => "
        "!e.getAttribute('aria-label') && !e.textContent.trim() && !(e.labels && e.labels.length))"
        ".map(e => e.outerHTML)"
    )
    assert nameless == []
    if folder := os.environ.get("SKLEARN_GEOAL_SCREENSHOTS"):
        browser.save_screenshot(f"{folder}/phone_{scheme}.png")

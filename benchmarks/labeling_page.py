"""A person in a real browser: how good the map is after some clicks, and how long an answer takes to be seen.

A script opens the page of ``python -m sklearn_geoal label`` in chromium and answers each question from the truth, by a
click on the button of its class; beside it stands what ``label_efficiency_curve`` gives for as many labels. The second
table is the time from a key to the map that follows from it, on generated scenes.

    python benchmarks/labeling_page.py [--quick] [--shots FOLDER]
"""

import argparse
import shutil
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer

from sklearn_geoal import LANDClassifier
from sklearn_geoal.datasets import load_jasper_ridge, load_landsat8_zion, load_salinas_a
from sklearn_geoal.labeling import LabelingSession, serve
from sklearn_geoal.model_selection import label_efficiency_curve


class Browser:
    """Chromium on the page of a session, and the session itself."""

    def __init__(self, scene, classes, **params):
        from selenium import webdriver

        self.session, address, known = None, [], threading.Event()

        def open_session(tell):
            self.session = LabelingSession(scene, None, classes, tempfile.mkdtemp(), tell=tell, **params)
            return self.session

        def announce(text):
            address.append(text)
            known.set()

        options = {"open_browser": False, "announce": announce}
        threading.Thread(target=serve, args=(open_session,), kwargs=options, daemon=True).start()
        known.wait()
        chrome = webdriver.ChromeOptions()
        chrome.binary_location = shutil.which("chromium")
        for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1280,900"):
            chrome.add_argument(argument)
        self.driver = webdriver.Chrome(chrome, webdriver.ChromeService(shutil.which("chromedriver")))
        start = time.perf_counter()
        self.driver.get(address[0])
        self.until("state.ready && state.query && pictures.classes.image")
        self.first = time.perf_counter() - start

    def run(self, script):
        return self.driver.execute_script(script)

    def until(self, condition):
        while not self.run(f"try {{ return !!({condition}) }} catch (error) {{ return false }}"):
            time.sleep(0.005)

    def answer(self, truth):
        """Click on the class of the pixel that is asked for; seconds until the map that follows is painted."""
        pixel, place = self.run("return [state.query.pixel, state.map]")
        button = f"document.querySelectorAll('#answers button')[{int(truth[pixel])}]"
        self.run(f"window.clicked = performance.now(); {button}.click()")
        self.until(f"document.body.dataset.map > {place} && state.query && !state.busy")
        return self.run("return (window.painted - window.clicked) / 1000")


def accuracy_by_clicks(name, data, n_labels, shots):
    scene = np.moveaxis(data.data.reshape(*data.scene_shape, -1), -1, 0)
    known = data.target >= 0
    browser = Browser(scene, [str(label) for label in data.target_names], candidates=known)
    while len(browser.session.labels) < n_labels:
        browser.answer(data.target)
    score = float((browser.session.map().ravel() == data.target)[known].mean())
    if shots:
        browser.driver.save_screenshot(f"{shots}/{name}.png")
    browser.driver.quit()
    return browser.first, score


def by_curve(data, n_labels):
    model = make_pipeline(Normalizer(), LANDClassifier(random_state=0))  # as the page does for spectra
    return float(label_efficiency_curve(model, data.data, data.target, budgets=[n_labels], batch_size=1).scores[0])


def repaint(side, n_answers):
    """Seconds to the first map, and the median of those to the later ones, of a scene of ten bands."""
    rng = np.random.RandomState(0)
    truth = np.kron(rng.randint(5, size=(10, 10)), np.ones((side // 10, side // 10), dtype=int))
    scene = np.moveaxis(rng.randn(5, 10)[truth] + 0.4 * rng.randn(side, side, 10), -1, 0).astype(np.float32)
    browser = Browser(scene, [f"material {i}" for i in range(5)])
    seconds = [browser.answer(truth.ravel()) for _ in range(n_answers)]
    browser.driver.quit()
    return browser.first, seconds[0], float(np.median(seconds[1:]))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--shots", type=Path)
    args = parser.parse_args()
    if not (shutil.which("chromium") and shutil.which("chromedriver")):
        sys.exit("needs chromium and chromedriver: apt-get install chromium chromium-driver")
    scenes = {"Salinas-A": load_salinas_a, "Jasper Ridge": load_jasper_ridge, "Zion": load_landsat8_zion}
    print(f"{'scene':14}{'labels':>8}{'first question':>16}{'by clicks':>11}{'curve':>8}")
    for name, load in list(scenes.items())[: 1 if args.quick else 3]:
        data, n_labels = load(), 20
        first, score = accuracy_by_clicks(name, data, n_labels, args.shots)
        curve = by_curve(data, n_labels) if len(data.target) <= 20_000 else float("nan")
        print(f"{name:14}{n_labels:8}{first:14.1f} s{score:11.3f}{curve:8.3f}", flush=True)
    print(f"\n{'pixels':>10}{'first question':>16}{'first map':>11}{'later maps':>12}")
    for side in (200,) if args.quick else (200, 1000):
        first, one, later = repaint(side, 11 if args.quick else 51)
        print(f"{side * side:10}{first:14.1f} s{one:9.2f} s{later:10.2f} s", flush=True)


if __name__ == "__main__":
    main()

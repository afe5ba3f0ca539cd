"""Headless Chromium, for tests of reports; they skip where it is not installed.

    with Browser() as browser:
        browser.open("report/report.html")
        browser.require_sound(charts=5)           # console, requests, marks of charts
        browser.screenshot("report.png", width=375, dark=True)
        assert browser.overflow(375) == 0

Debian: apt-get install chromium chromium-driver.
"""

import base64
import json
import pathlib
import shutil
import tempfile

import pytest

# What a chart draws: the groups of marks that Vega makes, and whether one is visible.
_MARKS = """
return [...document.querySelectorAll("[data-chart]")].map((chart) => ({
  name: chart.dataset.chart,
  marks: [...chart.querySelectorAll(
      ".role-mark path, .role-mark rect, .role-mark line, .role-mark text")]
    .filter((mark) => !mark.classList.contains("background"))
    .map((mark) => mark.getBBox())
    .filter((box) => box.width + box.height > 0)
    .length,
}));
"""
_OVERFLOW = """
const root = document.documentElement;
return Math.max(root.scrollWidth, document.body.scrollWidth) - root.clientWidth;
"""
_INSIDE = ("file:", "data:", "blob:", "about:", "chrome:")
_ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--hide-scrollbars",
    # No name is looked up but this machine's, so nothing outside is reached.
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
)
_HEIGHT = 900


def find_chromium() -> tuple[str, str]:
    """The paths of Chromium and its driver. Skips the test without them."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    driver = shutil.which("chromedriver")
    if not browser or not driver:
        pytest.skip("needs chromium and chromium-driver")
    pytest.importorskip("selenium", reason="needs selenium")
    return browser, driver


class Browser:
    """A browser with a profile of its own; closes with the block.

    Args:
      server: the start of addresses that count as inside, "http://127.0.0.1:8000/".
    """

    def __init__(self, server: str = ""):
        browser, driver = find_chromium()
        from selenium import webdriver

        self._inside = (*_INSIDE, server) if server else _INSIDE
        self._profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        options = webdriver.ChromeOptions()
        options.binary_location = browser
        for argument in (*_ARGUMENTS, f"--user-data-dir={self._profile.name}"):
            options.add_argument(argument)
        logs = {"browser": "ALL", "performance": "ALL"}
        options.set_capability("goog:loggingPrefs", logs)
        service = webdriver.ChromeService(executable_path=driver)
        self.driver = webdriver.Chrome(options=options, service=service)
        self._outside: list[str] = []
        self._errors: list[str] = []

    def __enter__(self) -> "Browser":
        return self

    def __exit__(self, *_) -> None:
        self.driver.quit()
        self._profile.cleanup()

    def open(self, page, width: int = 1200, wait: float = 60.0) -> None:
        """Opens a file or an address, and waits until its script has drawn all."""
        self._outside, self._errors = [], []
        self.driver.get_log("browser"), self.driver.get_log("performance")
        self.resize(width)
        page = str(page)
        address = page if "://" in page else pathlib.Path(page).absolute().as_uri()
        self.driver.get(address)
        self.wait_until("document.documentElement.dataset.ready === 'true'", wait)

    def wait_until(self, condition: str, seconds: float = 20.0) -> None:
        """Waits for a condition in JavaScript. Raises TimeoutException."""
        from selenium.webdriver.support.wait import WebDriverWait

        waiting = WebDriverWait(self.driver, seconds, poll_frequency=0.05)
        waiting.until(lambda driver: driver.execute_script(f"return {condition}"))

    def run(self, script: str, *arguments):
        """What a script returns; `arguments[0]` is the first argument."""
        return self.driver.execute_script(script, *arguments)

    def resize(self, width: int, height: int = _HEIGHT, dark: bool = False) -> None:
        """Gives the page a width in pixels, and a dark or light scheme."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1}
        command = "Emulation.setDeviceMetricsOverride"
        self.driver.execute_cdp_cmd(command, size | {"mobile": False})
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        media = {"features": [scheme]}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", media)

    def console_errors(self) -> list[str]:
        """Errors and warnings that the page wrote, and scripts that failed."""
        serious = ("SEVERE", "WARNING")
        for entry in self.driver.get_log("browser"):
            if entry["level"] in serious:
                self._errors.append(entry["message"])
        return self._errors

    def outside_requests(self) -> list[str]:
        """The addresses outside the page that it asked for; none was reached."""
        for entry in self.driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                address = message["params"]["request"]["url"]
                if not address.startswith(self._inside):
                    self._outside.append(address)
        return self._outside

    def marks(self) -> dict[str, int]:
        """How many visible marks each chart has, by the chart's name."""
        return {chart["name"]: chart["marks"] for chart in self.run(_MARKS)}

    def require_sound(self, charts: int) -> None:
        """Asserts that all charts are drawn, and nothing failed or asked outside.

        Args:
          charts: how many charts the page has, at least.
        """
        assert self.console_errors() == []
        assert self.outside_requests() == []
        marks = self.marks()
        assert len(marks) >= charts, marks
        assert all(marks.values()), marks

    def overflow(self, width: int) -> int:
        """By how many pixels the page is wider than a window of this width."""
        self.resize(width)
        self._settle()
        return self.run(_OVERFLOW)

    def screenshot(
        self, path, width: int = 1200, dark: bool = False, height: int | None = None
    ) -> bytes:
        """Writes a PNG of the whole page (or its top `height` pixels)."""
        self.resize(width, dark=dark)
        self._settle()
        size = self.run("return document.documentElement.scrollHeight")
        clip = {"x": 0, "y": 0, "width": width, "height": height or size, "scale": 1}
        options = {"format": "png", "captureBeyondViewport": True, "clip": clip}
        found = self.driver.execute_cdp_cmd("Page.captureScreenshot", options)
        data = base64.b64decode(found["data"])
        pathlib.Path(path).write_bytes(data)
        return data

    def pdf(self) -> bytes:
        """The page as it is printed."""
        found = self.driver.execute_cdp_cmd("Page.printToPDF", {})
        return base64.b64decode(found["data"])

    def rows(self, name: str) -> list[list[str]]:
        """The cells that a table shows, by the name of its CSV file."""
        script = """
        const rows = document.querySelectorAll(arguments[0] + " tbody tr");
        return [...rows].map((row) => [...row.cells].map((cell) => cell.textContent));
        """
        return self.run(script, _table(name))

    def sort(self, name: str, column: str) -> None:
        """Clicks on the head of a table's column."""
        script = """
        const buttons = [...document.querySelectorAll(arguments[0] + " th button")];
        buttons.find((button) => button.textContent === arguments[1]).click();
        """
        self.run(script, _table(name), column)

    def search(self, name: str, words: str) -> None:
        """Types words into the search field of a table."""
        script = """
        const field = document.querySelector(arguments[0] + " input[type=search]");
        field.value = arguments[1];
        field.dispatchEvent(new Event("input"));
        """
        self.run(script, _table(name), words)

    def _settle(self):
        """Waits until charts have taken a new width."""
        script = """
        const done = arguments[arguments.length - 1];
        setTimeout(() => requestAnimationFrame(() => requestAnimationFrame(done)), 150);
        """
        self.driver.execute_async_script(script)


def _table(name):
    return f'[data-table="{name}-table"]'

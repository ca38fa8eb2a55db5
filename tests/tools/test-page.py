#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""test-page ROOT: bench/page.py writes a tracked file only when PAGE=1 says so, and tests/guest
finds depmod without /usr/sbin in PATH."""
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = os.path.abspath(sys.argv.pop(1))
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(ROOT, "bench"))
import page  # noqa: E402  pylint: disable=wrong-import-position

TEXT = "# Benchmarks\n\n<!-- begin core: a test writes this -->\n\nold\n\n<!-- end core -->\n"


def read(path):
  with open(path, encoding="utf-8") as f:
    return f.read()


class Page(unittest.TestCase):
  def setUp(self):
    self.tree = tempfile.TemporaryDirectory(prefix="hbakit-page-")
    os.chdir(self.tree.name)
    os.makedirs("docs/benchmarks")
    with open("docs/benchmarks.md", "w", encoding="utf-8") as f:
      f.write(TEXT)
    os.environ.pop("PAGE", None)

  def tearDown(self):
    os.chdir("/")
    self.tree.cleanup()

  def draw_and_write(self):
    page.write("core", ["new", page.bars("core", "Time", "ns", [("ours", 1)])])

  @unittest.skipUnless(shutil.which("gnuplot"), "there is no gnuplot")
  def test_tracked_files_stay_as_they_are(self):
    self.draw_and_write()
    self.assertEqual(read("docs/benchmarks.md"), TEXT)
    self.assertEqual(os.listdir("docs/benchmarks"), [])
    self.assertIn("new", read("run/benchmarks.md"))
    self.assertEqual(os.listdir("run/benchmarks"), ["core.svg"])

  @unittest.skipUnless(shutil.which("gnuplot"), "there is no gnuplot")
  def test_unless_told_to(self):
    os.environ["PAGE"] = "1"
    self.draw_and_write()
    self.assertIn("new", read("docs/benchmarks.md"))
    self.assertEqual(os.listdir("docs/benchmarks"), ["core.svg"])
    self.assertFalse(os.path.exists("run"))


class Path(unittest.TestCase):
  def test_depmod_is_found_without_sbin(self):
    if not any(os.path.exists(f"{folder}/depmod") for folder in ("/usr/sbin", "/sbin")):
      self.skipTest("there is no depmod")
    program = "import guest, shutil; print(shutil.which('depmod'))"
    done = subprocess.run([sys.executable, "-B", "-c", program], cwd=f"{ROOT}/tests/guest",
                          env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=True)
    self.assertIn("sbin/depmod", done.stdout)


if __name__ == "__main__":
  unittest.main()

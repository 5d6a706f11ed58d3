"""An engine that never reads YAML does not pay for it."""

import subprocess
import sys


def test_importing_the_analysis_loads_no_parser_and_no_schema_library():
    program = "import sys, argyll.analysis; print([m for m in ('yaml', 'jsonschema', 'lupa', 'asyncio', 're2') if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"

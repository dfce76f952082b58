"""``python -m neurotorch`` is the command ``neurotorch``."""

import sys

from neurotorch.cli import main

sys.exit(main())

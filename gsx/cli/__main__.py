import sys

from gsx.cli import main

sys.exit(main())

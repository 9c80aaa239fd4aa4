"""``python3 -m kubectl_meter``."""

from kubectl_meter.cli import main

if __name__ == "__main__":
    main()

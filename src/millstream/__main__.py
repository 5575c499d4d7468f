"""`python -m millstream`: what the supervisor starts its children with."""

from millstream.cli import main

if __name__ == "__main__":
    main()

"""The pages: tables, pictures and templates made into `site/`, from the DAG's files only."""

from wsa.leaderboard.site import render

__all__ = ["render"]

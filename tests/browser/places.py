"""Where the views of the page are, and the document that wishes us ill which is shown there."""

from typing import Final

HOSTILE: Final = (
    "<img src=x onerror=window.hit=1><script>window.hit=1</script> [go](javascript:window.hit=1) "
    "<svg onload=window.hit=1> {{constructor.constructor('window.hit=1')()}} granite &lt;b&gt;"
)
HOSTILE_NAME: Final = "<img src=x onerror=window.hit=1>.md"

PLACES: Final = (
    "upload",
    "tasks",
    "tasks/{task}",
    "knowledge-bases",
    "knowledge-bases/{kb}",
    "knowledge-bases/{kb}?tab=settings",
    "knowledge-bases/{kb}/documents/{document}",
    "search?q=granite",
    "ask?q=granite&kb={kb}",
    "operations",
    "operations?tab=dead-letters",
    "operations?tab=reprocess&kb={kb}",
    "operations?tab=archive",
    "operations?tab=webhooks&webhook={webhook}",
    "operations?tab=keys",
    "operations?tab=health",
)
"""Filled in by the fixture `places`. A new view gets its line here, so that every test of every view sees it."""

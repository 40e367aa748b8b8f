"""HTTP in and out of the file service."""

from antiphon_file.routes.images import router as images
from antiphon_file.routes.uploads import router as uploads

ROUTERS = (uploads, images)

"""HTTP in and out of the file service."""

from antiphon_file.routes import images, uploads

ROUTERS = (uploads.router, images.router)

"""GeoPackages, written with SQLite alone: tables, triggers, geometries and spatial indices."""

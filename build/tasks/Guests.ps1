# Fetches Debian's kernels and makes the initial RAM disks.
& ([IO.Path]::Combine($root, 'build', 'Guests.ps1')) -Force:$Force

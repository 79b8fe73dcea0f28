# Runs a frame in a script scope of its own; see Parts/Scope.ps1.
param ($______frame)
& $______frame.Frame $______frame

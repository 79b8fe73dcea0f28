# The module as a folder that any pwsh 7.6 can import, and as an archive of it.
$package = [IO.Path]::Combine($root, 'artifacts', 'package')
$target = [IO.Path]::Combine($package, 'X86Virt')
if ([IO.Directory]::Exists($package)) { [IO.Directory]::Delete($package, $true) }

$module = [IO.Path]::Combine($root, 'module')
$built = [IO.Path]::Combine($module, 'bin') + [IO.Path]::DirectorySeparatorChar
foreach ($file in [IO.Directory]::GetFiles($module, '*', 'AllDirectories')) {
    if ($file.StartsWith($built)) { continue }
    $copy = [IO.Path]::Combine($target, [IO.Path]::GetRelativePath($module, $file))
    $null = [IO.Directory]::CreateDirectory([IO.Path]::GetDirectoryName($copy))
    [IO.File]::Copy($file, $copy)
}
# For every operating system and processor, so without code that is compiled ahead of time.
Invoke-DotNet publish ([IO.Path]::Combine($root, 'src', 'X86Virt.PowerShell')) -c Release -o ([IO.Path]::Combine($target, 'bin')) -v q --nologo '-p:DebugType=none'

[IO.Compression.ZipFile]::CreateFromDirectory($target, "$target.zip", 'Optimal', $true)
"Module: $target"
"Archive: $target.zip"

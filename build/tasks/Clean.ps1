# Removes what was built; guests that were fetched stay.
foreach ($folder in @('module/bin', 'artifacts/shell', 'artifacts/modules', 'artifacts/package')) {
    $path = [IO.Path]::Combine($root, $folder)
    if ([IO.Directory]::Exists($path)) { [IO.Directory]::Delete($path, $true) }
}
foreach ($stamp in [IO.Directory]::GetFiles([IO.Directory]::CreateDirectory([IO.Path]::Combine($root, 'artifacts')).FullName, '*.stamp')) { [IO.File]::Delete($stamp) }
Invoke-DotNet clean ([IO.Path]::Combine($root, 'X86Virt.sln')) -c Release -v q --nologo

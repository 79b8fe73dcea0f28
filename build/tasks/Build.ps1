# Compiles the solution, and the module into module/bin, where its manifest looks for it.
Invoke-DotNet build ([IO.Path]::Combine($root, 'X86Virt.sln')) -c Release -v q --nologo
if (-not [IO.File]::Exists([IO.Path]::Combine($root, 'module', 'bin', 'X86Virt.PowerShell.dll'))) {
    Invoke-DotNet publish ([IO.Path]::Combine($root, 'src', 'X86Virt.PowerShell')) -c Release -o ([IO.Path]::Combine($root, 'module', 'bin')) -v q --nologo
}
